"""Random streams, loaders, workers and iterators go on with the very next sample."""

import pytest
import twin
from twin import check, twins

TWINS = [
    *twins("everywhere_rng.py", fast="S4, S12 TERM", slow="S1, S7, S8, S13 KILL all, S14, S21"),
    *twins("unseeded.py", fast="S4, S13 TERM", slow="S1, S6, S7, S12, S18"),
    *twins("workers.py", fast="S4, S12 TERM", slow="S1, S7, E1, S8, S14 KILL all, S21"),
    *twins("iterator_kept.py", fast="S4, S20 TERM, S41", slow="S1, S8, S15, S16, S23, S24, S32, S39, S40, S47"),
    *twins("curriculum.py", redone=4, fast="S6, S13 TERM, S20", slow="S1, S4, S5, S7, S10, S12, S17, S18, S23"),
    *twins("loader_zoo.py", redone=4, fast="S3, S13 TERM, S30, S46", slow="S1, S5, S11, S12, S15, S18, S21, S22, S42, S43, S50"),
    *twins("workers_memory.py", fast="S3, S8 TERM", slow="S1, S5, S6, S11, S15",
           broken="what a loader worker caches by itself is not carried"),
    *twins("stateful_loader.py", fast="S4, S9 TERM, S21", slow="S1, S6, S7, S12, S13, S18, S22"),
    *twins("workers_persistent.py", fast="S3, S8 TERM, S20", slow="S1, S5, S6, S11, S15, S16, S21, S22, S27"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)


def test_a_cache_that_grows_in_persistent_workers_is_warned_of():
    place = twin.Place("workers_memory.py")
    try:
        session = place.survive()
    finally:
        place.remove()
    assert session.code == 0
    assert "warning: dataset.cache grows in the loader's worker processes" in session.err
