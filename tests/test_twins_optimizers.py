"""Optimizers, schedules and scalers of every kind come back in the middle of what they were doing."""

import pytest
from twin import check, twins

TWINS = [
    *twins("gan.py", fast="B20, S29 TERM", slow="S1, B10, S12, S13, S24 TERM, S36"),
    *twins("accumulation_amp.py", fast="B8, B14 TERM, B16", slow="B1, S2, B7, B10, S5, B21"),
    *twins("averaged.py", fast="S9, S21 TERM", slow="S1, S6, E1, S7, S12, S18, E4, S30"),
    *twins("schedules.py", fast="S11, S22 TERM, S33", slow="S1, S4, S16, S17, S28, S29, S32, S40"),
    *twins("lbfgs_style.py", redone=4, fast="S3, S7 TERM", slow="S1, S5 KILL all, S9"),
    *twins("bare_tensor.py", fast="B7, B17 TERM", slow="B1, B12, B13, B24"),
    *twins("noam_wrapper.py", redone=8, fast="S4, S14 TERM, S23", slow="S1, S5, S7, E1, S9, S16, S24"),
    *twins("wgan_gp.py", fast="B10, S13 TERM, B50", slow="B1, B2, S5, S7, S12, B47, S26, S27"),
    *twins("own_optimizers.py", redone=4, fast="S4, B14, S19 TERM, B33", slow="S1, S8, B9, B13, S14, S15, S22, B29, B36"),
    *twins("adversarial.py", fast="B6, S6 TERM, S15", slow="B1, B4, S4, B17, S8, S9, S16, S17, S24"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
