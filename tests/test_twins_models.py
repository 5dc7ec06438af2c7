"""Models that change, share, normalise or remember come back as they were."""

import pytest
from twin import check, twins

TWINS = [
    *twins("growing.py", fast="S6, S12, S20 TERM", slow="S1, S8, S9, S16, S17, S24"),
    *twins("hidden_state.py", redone=4, fast="B6, B24 TERM, S4", slow="B1, B10, E1, B11, B30, S1, S7, S10"),
    *twins("special_layers.py", fast="S5, S11 TERM, S18", slow="S1, S7, E1, S8, S14, S15, S21"),
    *twins("parametrized_late.py", fast="S3, S7, S12 TERM", slow="S1, S5, S6, S10, S11, S14"),
    *twins("moco_queue.py", fast="S4, S17 TERM", slow="S1, S7, S8, S14, S20, S21"),
    *twins("tbptt.py", redone=6, fast="S5, S9 TERM, S16", slow="S1, S6, S7, S12, S13, S18"),
    *twins("ensemble.py", fast="S7, S20 TERM, S42", slow="S1, S3, S18, S19, S36, S37, S40, S41, S48"),
    *twins("hooks_and_overrides.py", fast="S4, S11 TERM", slow="S1, S6, E2, S7, S12, E5, S13, S18"),
    *twins("diffusion.py", fast="S4, S8 TERM", slow="S1, S5, E2, S6, S10, S11, S15"),
    *twins("compiled.py", fast="", slow="S2, S7 TERM, S10"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
