"""Runs ``survivor run`` as a real process; its child has a fake engine, so that no test waits for torch."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FAKES = Path(__file__).parent / "fakes"
PATIENCE_S = 120.0

# nohup and a shell's background jobs have them ignored, survivor heeds that, and here they are sent on purpose
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

COUNT = """\
import sys, time
for i in steps(int(sys.argv[1])):
    print(i, flush=True)
    time.sleep(0.03)
print("done")
"""


class Running:
    """A ``survivor run`` in progress."""

    def __init__(self, process, folder):
        self.process = process
        self.folder = folder
        self.lines = []

    def read_until(self, wanted):
        """Read the script's output up to a line; returns the lines of this call."""
        seen = []
        for line in self.process.stdout:
            seen.append(line.rstrip("\n"))
            if seen[-1] == wanted:
                break
        self.lines += seen
        assert seen and seen[-1] == wanted, (seen, self.process.stderr.read())
        return seen

    def child_pid(self):
        return wait_for(lambda: [e["pid"] for e in self.events() if e["event"] == "started"])[-1]

    def events(self):
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """Wait for the end; returns exit code, rest of the output, stderr."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.lines += out.splitlines()
        return self.process.returncode, out, err


class Workplace:
    """A folder with scripts in it, and survivor to run them."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def write(self, text, name="script.py"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    def start(self, *words, env=(), program=(sys.executable, "-m", "survivor"), **popen):
        process = subprocess.Popen(
            [*program, "run", "--events", "events.jsonl", *map(str, words)],
            cwd=self.folder,
            env={**clean_environment(), **dict(env)},
            text=True,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen},
        )
        self.running.append(Running(process, self.folder))
        return self.running[-1]

    def run(self, *words, **popen):
        return self.start(*words, **popen).end()

    def python(self, *words, **run):
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=PATIENCE_S,
            **{"stdin": subprocess.DEVNULL, "env": clean_environment(), **run},
        )

    def clean_up(self):
        for run in self.running:
            with contextlib.suppress(ProcessLookupError):
                run.process.kill()
            run.process.wait()
            for event in run.events():
                if event["event"] == "started":
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(event["pid"], signal.SIGKILL)
            for stream in filter(None, (run.process.stdout, run.process.stderr)):
                stream.close()


def clean_environment():
    left_out = ("PYTHONHASHSEED", "SURVIVOR_STORE")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    return {**environment, "PYTHONPATH": str(FAKES)}


def wait_for(condition):
    """The first true value of ``condition()``; fails when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"never came true: {condition}")


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
