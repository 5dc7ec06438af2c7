"""What a script writes, catches and saves by itself is the same after a kill."""

import pytest
from twin import check, twins

TWINS = [
    *twins("catches_all.py", fast="S4, S13 TERM", slow="S1, S6, S7, S12 INT, S19"),
    *twins("own_resume.py", fast="S4, S14 TERM", slow="S1, S6, E1, S7, S13, S24"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
