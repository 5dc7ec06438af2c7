"""Random programs, killed at random events, go on as if nothing had happened; so do those that once did not.

``SURVIVOR_PROPERTY_SECONDS`` says how long to look for a program that does not (60 by default),
``SURVIVOR_PROPERTY_FIRST`` from which seed on. A seed is tried again by ``campaign.py --seed``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REGRESSIONS = sorted((HERE / "regressions").glob("*.py"))
#: Small sums in one order, sets of strings in one order: a seed means the same everywhere.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def _campaign(*arguments: str) -> "subprocess.CompletedProcess[str]":
    # a process of its own: it forks for each session, which a process that has used autograd must not
    command = [sys.executable, str(HERE / "campaign.py"), *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_random_programs_that_are_killed_at_random_events_equal_the_plain_run():
    seconds = os.environ.get("SURVIVOR_PROPERTY_SECONDS", "60")
    first = os.environ.get("SURVIVOR_PROPERTY_FIRST", "0")
    ended = _campaign("--seconds", seconds, "--first", first)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_a_program_that_once_went_wrong_is_resumed_at_every_event(path, request):
    about = path.read_text().partition("\n")[0].lstrip("# ")
    if about.startswith("open: "):
        request.applymarker(pytest.mark.xfail(reason=about, strict=True))
    ended = _campaign("--file", str(path))
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]


def test_a_seed_makes_the_same_program_every_time():
    assert _campaign("--seed", "7", "--print").stdout == _campaign("--seed", "7", "--print").stdout != ""
