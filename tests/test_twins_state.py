"""What a script keeps beside its models, in objects of any shape, comes back with its identities."""

import pytest
from twin import check, twins

TWINS = [
    *twins("shared_objects.py", fast="S5, S10 TERM", slow="S1, S6, S7, S12, S16, S18"),
    *twins("beside_variables.py", fast="S4, S8, S12 TERM", slow="S1, S5, S6, S10, S11, S14"),
    *twins("seq2seq.py", fast="B5, S25 TERM", slow="B1, S2, B8, S33, S48"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
