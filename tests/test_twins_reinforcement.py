"""Agents, environments and replay buffers go on where they were."""

import pytest
from twin import check, twins

TWINS = [
    *twins("reinforce.py", fast="S5, S11 TERM", slow="S1, S3, S8 KILL all, S14"),
    *twins("dqn.py", fast="S12, S28 TERM", slow="S1, S3, S9, S19, S30, S36"),
    *twins("actor_critic.py", fast="S5, S18 TERM", slow="S1, S8, S9, S16, S31, S40"),
    *twins("prioritized.py", fast="S5, S14 TERM", slow="S1, S2, S10, S17, S22"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)
