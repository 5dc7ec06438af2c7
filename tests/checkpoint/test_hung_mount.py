"""A mount that hangs, as a dead NFS server or Drive does: who touches it sits in the kernel, and nobody waits for him."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from recorder import recorded, why_not

from survivor.errors import StoreError
from survivor.supervisor import probing
from survivor.supervisor.signals import SignalInbox

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
PATIENCE_S = 240
SCRIPT = """\
import os, time, torch
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(100000):
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    print(step, flush=True)
    time.sleep(0.01)
    if step == int(os.environ["LAST"]):  # not a variable, which would come back with the checkpoint
        break
"""


def start(folder, store, last, *options):
    (folder / "script.py").write_text(SCRIPT)
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "survivor", "run", "--store", str(store), "--every", "1h", *options, "script.py"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp"), "LAST": str(last)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_until(process, wanted):
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == wanted:
            return lines
    raise AssertionError((lines[-3:], process.stderr.read()))


@pytest.fixture
def flag(tmp_path):
    """A file that lets the mount hang as long as it is there."""
    path = tmp_path / "hold"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.slow
def test_a_mount_that_hangs_keeps_nobody_from_ending_and_what_was_saved_elsewhere_comes_home(tmp_path, flag):
    with recorded(tmp_path / "fuse", f"hold 1 {flag}") as (mount, _):
        process = start(tmp_path, mount / "store", -1, "--grace", "20s")
        try:
            lines = read_until(process, "20")
            (writer,) = [
                each
                for each in psutil.Process(process.pid).children()
                if any(word.endswith("writer_main.py") for word in each.cmdline())
            ]
            flag.touch()
            process.send_signal(signal.SIGTERM)
            # the supervisor ends although the writer can't, who still has its end of the pipe for errors
            code = process.wait(PATIENCE_S)
        finally:
            flag.unlink(missing_ok=True)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert code == 75, err
        assert "SIGTERM: saved at" in err and "survivor-spool" in err
        psutil.wait_procs([writer], timeout=PATIENCE_S)
        last = int([*lines, *out.split()][-1])
        process = start(tmp_path, mount / "store", last + 3, "--accept-changes", "--take-over")
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert f"brought step {last + 1}" in err
        assert out.split() == [str(last + 1), str(last + 2), str(last + 3)]


def test_a_mount_that_hangs_from_the_beginning_is_a_plain_error(tmp_path, flag):
    with recorded(tmp_path / "fuse", f"hold 1 {flag}") as (mount, _), SignalInbox() as inbox:
        probing.ask(str(mount), "job", inbox, PATIENCE_S)
        flag.touch()
        with pytest.raises(StoreError, match="does not answer"):
            probing.ask(str(mount), "job", inbox, 0.5)
        flag.unlink()


def test_a_signal_ends_the_wait_for_a_mount_that_hangs(tmp_path, flag):
    with recorded(tmp_path / "fuse", f"hold 1 {flag}") as (mount, _):
        (mount / "store").mkdir()
        flag.touch()
        process = start(tmp_path, mount / "store", -1)
        try:
            # the one that asks is there: the supervisor waits for it
            while not psutil.Process(process.pid).children():
                os.sched_yield()
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
        finally:
            flag.unlink(missing_ok=True)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert code == 4, err
        assert "does not answer: a signal came" in err
