"""Loops of every shape are killed, run again, and end as if nothing had happened."""

import pytest
from twin import check, twins

TWINS = [
    *twins("module_level.py", fast="S12, S19 TERM", slow="S1, S8, E1, S9, S16 INT, S24"),
    *twins("main_function.py", fast="S10 TERM, S17 KILL all", slow="S1, S7, E1, S8, E2, S21"),
    *twins("trainer_class.py", fast="S9, S18", slow="S1, S6, E1, S7, S12 TERM, E4, S24"),
    *twins("nested_closures.py", fast="S4, S15 TERM", slow="S1, S6, S7, S12, S24"),
    *twins("package_folder", fast="S11, S16 TERM", slow="S1, S7, E1, S8, E2, S21"),
    *twins("gpt_batches.py", fast="S8, B31 TERM", slow="S1, B13, S7, E4, S20, S21"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
