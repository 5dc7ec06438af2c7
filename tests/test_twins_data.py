"""Random streams, loaders, workers and iterators go on with the very next sample."""

import pytest
from twin import check, twins

TWINS = [
    *twins("everywhere_rng.py", fast="S4, S12 TERM", slow="S1, S7, S8, S13 KILL all, S14, S21"),
    *twins("unseeded.py", fast="S4, S13 TERM", slow="S1, S6, S7, S12, S18"),
    *twins("workers.py", fast="S4, S12 TERM", slow="S1, S7, E1, S8, S14 KILL all, S21"),
    *twins("iterator_kept.py", fast="S4, S20 TERM, S41", slow="S1, S8, S15, S16, S23, S24, S32, S39, S40, S47"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
