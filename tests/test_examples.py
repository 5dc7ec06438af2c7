"""The examples, each alone and under survivor with real signals: same lines, same digest.

The events of a session come through a named pipe, so a signal is sent when a checkpoint at the wanted
place has just become durable, and nothing sleeps.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parent.parent / "examples"
EPOCHS = 2
BATCHES = 43  # 1347 images in batches of 32
PATIENCE_S = 240


class Job:
    """An example in a folder of its own, run in sessions."""

    def __init__(self, folder, example, *args):
        self.folder = folder
        self.script = str(EXAMPLES / example)
        self.args = args
        self.output = []  # of each session
        self.codes = []
        self.pipe = folder / "events"
        os.mkfifo(self.pipe)

    def plain(self):
        """The example alone: what it prints."""
        folder = self.folder / "plain"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, self.script, *self.args],
            cwd=folder, env=environment(), text=True, capture_output=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        return done.stdout

    def session(self, place="", end=None):
        """Run under survivor; call ``end(process, trainer pid)`` once a checkpoint at ``place`` is durable."""
        command = [sys.executable, "-m", "survivor", "run", "--every", "0", "--events", str(self.pipe)]
        with (self.folder / f"out{len(self.output)}").open("w+") as out, Pipe(self.pipe) as events:
            process = subprocess.Popen(
                [*command, self.script, *self.args],
                cwd=self.folder, env=environment(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                trainer = self._wait(events, place)
                if end is not None:
                    end(process, trainer)
                self.codes.append(process.wait(PATIENCE_S))
            finally:
                process.kill()
                process.wait()
            out.seek(0)
            lines = [line for line in out if not line.startswith("survivor: ")]
        self.output.append("".join(lines))

    def _wait(self, events, place):
        trainer = 0
        for event in events:
            if event["event"] == "started":
                trainer = event["pid"]
            if event["event"] == "ended" or event.get("position") == place != "":
                return trainer
        raise AssertionError("the pipe of events was closed")


class Pipe:
    """The reading end of a named pipe with one JSON object a line."""

    def __init__(self, path):
        # open for writing as well: neither side waits for the other, and it is never at its end
        self.file = os.fdopen(os.open(path, os.O_RDWR), encoding="utf-8", closefd=True)

    def __enter__(self):
        return map(json.loads, iter(self.file.readline, ""))

    def __exit__(self, *_):
        self.file.close()


def environment():
    left_out = ("PYTHONHASHSEED", "SURVIVOR_STORE")
    # one thread, as other tests run beside this one
    return {k: v for k, v in os.environ.items() if k not in left_out} | {"OMP_NUM_THREADS": "1"}


def sigterm(process, _trainer):
    process.send_signal(signal.SIGTERM)


def sigkill_everything(process, trainer):
    os.kill(process.pid, signal.SIGKILL)
    os.killpg(trainer, signal.SIGKILL)


ENDS = {"SIGTERM": sigterm, "SIGKILL": sigkill_everything}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("example", ["digits.py", "digits_checkpointed.py"])
@pytest.mark.parametrize(
    "kills",
    [
        [("epoch 0, batch 1", "SIGTERM"), ("epoch 0, batch 20", "SIGKILL"), ("epoch 1, batch 0", "SIGTERM")],
        [
            (f"epoch 0, batch {BATCHES - 1}", "SIGKILL"),
            ("epoch 1, batch 1", "SIGTERM"),
            ("epoch 1, batch 30", "SIGKILL"),
        ],
    ],
    ids=["early", "late"],
)
def test_an_example_that_is_killed_and_run_again_prints_what_it_prints_alone(tmp_path, example, workers, kills):
    job = Job(tmp_path, example, "--epochs", str(EPOCHS), "--workers", workers)
    plain = job.plain()
    for place, name in kills:
        job.session(place, ENDS[name])
        assert job.codes[-1] == (75 if name == "SIGTERM" else -signal.SIGKILL), job.output
    job.session()
    assert job.codes[-1] == 0, job.output
    # after a SIGKILL, lines that were printed since the last checkpoint come again
    assert list(dict.fromkeys("".join(job.output).splitlines())) == plain.splitlines()
    assert plain.splitlines()[-1].startswith("digest ")


@pytest.mark.slow
def test_a_function_under_survivable_goes_on_and_returns_what_it_returns_alone(tmp_path):
    script = str(EXAMPLES / "decorator.py")
    options = {"cwd": tmp_path, "env": environment(), "text": True, "stdout": subprocess.PIPE}
    plain = subprocess.run([sys.executable, script, "--epochs", "150", "--plain"], check=True, **options).stdout
    printed = []
    for line, kill, code in (("epoch 50:", sigterm, 75), ("epoch 100:", sigkill_tree, -signal.SIGKILL), ("", None, 0)):
        process = subprocess.Popen([sys.executable, script, "--epochs", "150"], start_new_session=True, **options)
        for text in process.stdout:
            printed.append(text)
            if line and text.startswith(line):
                kill(process, 0)
                break
        printed += process.communicate(timeout=PATIENCE_S)[0].splitlines(keepends=True)
        assert process.returncode == code, printed
    assert "".join(dict.fromkeys(printed)) == plain


def sigkill_tree(process, _trainer):
    for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        each.kill()
