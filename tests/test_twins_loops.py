"""Loops of every shape are killed, run again, and end as if nothing had happened."""

import pytest
from twin import check, twins

TWINS = [
    *twins("module_level.py", fast="S12, S19 TERM", slow="S1, S8, E1, S9, S16 INT, S24"),
    *twins("main_function.py", fast="S10 TERM, S17 KILL all", slow="S1, S7, E1, S8, E2, S21"),
    *twins("trainer_class.py", fast="S9, S18", slow="S1, S6, E1, S7, S12 TERM, S24, E4"),
    *twins("nested_closures.py", fast="S4, S15 TERM", slow="S1, S6, S7, S12, S24"),
    *twins("package_folder", fast="S11, S16 TERM", slow="S1, S7, E1, S8, E2, S21"),
    *twins("late_module", fast="S6, S11 TERM", slow="S1, S5, S8, B10, S14"),
    *twins("gpt_batches.py", fast="S8, B31 TERM", slow="S1, B13, S7, E4, S20, S21"),
    *twins("tqdm_bars.py", fast="S4, S15 TERM", slow="S1, S6, S7, S12, S13, E1, S24"),
    *twins("step_iterators.py", fast="S7, S17, S29 TERM", slow="S1, S5, S12, S13, S23, S32, S37"),
    *twins("while_epochs.py", fast="S5, S16 TERM", slow="S1, S7, S8, S21, S26"),
    *twins("returns_early.py", fast="S8, S24 TERM", slow="S1, S5, S15, S16, S20, S27, S37"),
    *twins("left_by_exceptions.py", fast="S9, S40 TERM, S52", slow="S6, S12, S13, S30, S36, S37, S39, S45, S50, S56"),
    *twins("kfold.py", fast="S13, S22 TERM", slow="S1, S5, E1, S6, S10, S11, S30"),
    *twins("phases.py", fast="S4, S9, S18 TERM", slow="S1, S6, S7, S12, S13, S21, S28"),
    *twins("phase_strings.py", fast="S4, S15 TERM", slow="S1, S6, E1, S7, S12, E2, S13, S24"),
    *twins("callbacks.py", fast="S7, S14 TERM", slow="S1, S2, S10, E1, S20"),
    *twins("generator_training.py", fast="S4, S9 TERM, S16", slow="S1, S5, S6, S10, S11, S21"),
    *twins("halving.py", fast="S5, S14, S30 TERM", slow="S1, S3, S4, S12, S13, S24, S25, S36"),
    *twins("own_iterators.py", fast="S4, S14, S27 TERM, S33", slow="S1, S6, S7, S18, S19, S24, S30, S31, S35"),
    *twins("comprehended.py", fast="S9, S22 TERM, S41", slow="S1, S3, S6, S10, S13, S15, S28, S34, S36, S40, S44"),
    *twins("coroutines.py", fast="S6, S11 TERM", slow="S1, S3, S4, S8, S9, S14"),
    *twins("maml.py", fast="B8, S5 TERM, S14", slow="B1, B2, S1, B16, S8, S9, S11, S20"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
