"""The N-th operation of the store fails under a real training job: it goes on, or ends with a code that has a name.

Faults come from the kernel's side, from the FUSE file system of `recorder.py`, so whichever process touches the
store meets them. What the job had before is good afterwards, the user was told, and a run without faults ends
with what the plain script prints.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recorder import recorded, why_not

from survivor.checkpoint.checking import check_job
from survivor.checkpoint.repository import Repository

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
SCRIPT = Path(__file__).with_name("fault_script.py")
ERRORS = ["ENOSPC", "EIO", "EDQUOT", "ENOTCONN", "ESTALE", "EACCES"]
#: The first two hundred operations open the job and read its checkpoint, then a commit takes about forty.
SWEEP = [f"{ERRORS[n % 6]} {12 * n + n % 12 + 1} {'forever' if n // 6 % 2 else 'once'}" for n in range(32)]


def environment(folder, **more):
    return {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder), **more}


def run(folder, store, **more):
    command = [sys.executable, "-m", "survivor", "run", "--every", "0", "--store", str(store), str(SCRIPT)]
    return subprocess.run(command, env=environment(folder, **more), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A job that was stopped in its third epoch, and what the plain script prints."""
    folder = tmp_path_factory.mktemp("begun")
    plain = subprocess.run(
        [sys.executable, SCRIPT], env=environment(folder), capture_output=True, text=True, check=True
    )
    stopped = run(folder, folder / "store", STOP_AT="2")
    assert stopped.returncode == 75, stopped.stderr
    step = Repository.open(folder / "store", "fault_script").newest().step
    return folder, plain.stdout.splitlines(), step


def tried(begun, ram, fault):
    """One session with a fault, one without; returns the first, and how many operations were struck."""
    folder, plain, step = begun
    shutil.copytree(folder / "store", ram / "source/store")
    with recorded(ram, fault) as (mount, log):
        struck = run(ram, mount / "store")
    assert struck.returncode in (0, 3, 4), (struck.returncode, struck.stderr)
    repository = Repository.open(ram / "source/store", "fault_script")
    assert repository.newest().step >= step
    assert check_job(repository).findings == []
    faults = [event for event in log if event[0] == "fault"]
    if struck.returncode == 0:
        assert struck.stdout.splitlines() == plain[-len(struck.stdout.splitlines()) :]
    else:
        assert "survivor: error:" in struck.stderr and faults
    # the job goes on where the store works again
    shutil.rmtree(ram / "mount")
    shutil.copytree(ram / "source", ram / "mount")
    after = run(ram, ram / "mount/store")
    assert after.returncode == 0, after.stderr
    if "is finished" not in after.stderr:
        assert after.stdout.splitlines() == plain[-len(after.stdout.splitlines()) :]
        assert after.stdout.splitlines()[-1] == plain[-1]
    return struck, faults


def test_a_store_that_is_full_from_some_moment_on_costs_no_training(begun, ram):
    struck, faults = tried(begun, ram, "ENOSPC 250 forever")
    assert struck.returncode == 0 and len(faults) > 1
    assert "could not save" in struck.stderr and "No space left on device" in struck.stderr
    assert "training goes on; what came since epoch" in struck.stderr and "ago) is not in the store" in struck.stderr


def test_a_drive_that_is_gone_for_a_moment_costs_no_training(begun, ram):
    struck, faults = tried(begun, ram, "ENOTCONN 400 once")
    assert struck.returncode == 0 and len(faults) == 1


def test_a_store_that_can_not_be_opened_ends_the_session_with_its_own_code(begun, ram):
    struck, _ = tried(begun, ram, "EIO 1 forever")
    assert struck.returncode == 4
    assert "Input/output error" in struck.stderr


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*SWEEP, "hang 300 150"])
def test_any_operation_may_fail(begun, ram, fault):
    tried(begun, ram, fault)
