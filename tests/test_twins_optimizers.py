"""Optimizers, schedules and scalers of every kind come back in the middle of what they were doing."""

import pytest
from twin import check, twins

TWINS = [
    *twins("gan.py", fast="B20, S29 TERM", slow="S1, B10, S12, S13, S24 TERM, S36"),
    *twins("accumulation_amp.py", fast="B8, B14 TERM, B16", slow="B1, S2, B7, B10, S5, B21"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
