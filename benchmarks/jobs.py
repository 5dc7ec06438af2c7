"""What several benchmarks share: a training job of a given size, runs of it under survivor, raw figures of the disk.

Nearly all of the job's state is one parameter, of which each step changes a little in place: steps are short, and yet
every byte has to be copied, hashed and written at each checkpoint. It is an optimizer's or not: in the first case it
may be copied beside the training.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MB = 1_000_000

JOB = """\
import json, os, sys, time
import torch

size, steps, pause, held = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "held"
torch.manual_seed(0)
model = torch.nn.Linear(64, 64)
model.weights = torch.nn.Parameter(torch.randn(size // 4), requires_grad=False)
trained = [model.weight, model.bias, *([model.weights] if held else [])]
optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
x = torch.randn(32, 64)
took, before = [], time.perf_counter()
log = os.open(os.environ["JOB_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for step in range(steps):
    now = time.perf_counter()
    took.append(now - before)
    before = now
    time.sleep(pause)
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.weights[:1000] += loss.item()
    os.write(log, f"{step} {time.time()}\\n".encode())
with open(os.environ["JOB_LOG"] + ".times", "w") as file:
    json.dump(took, file)
"""


class Job:
    """The job in a folder; ``held`` is whether its optimizer holds the large parameter."""

    def __init__(
        self, folder: Path, size_bytes: int, *, steps: int, pause_s: float, held: bool = True, source: str = JOB
    ) -> None:
        self.folder = folder
        self.log = folder / "log"
        (folder / "job.py").write_text(source)
        self._args = ["job.py", str(size_bytes), str(steps), str(pause_s), "held" if held else "free"]

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it under survivor with these options."""
        command = [sys.executable, "-m", "survivor", "run", "--events", "events.jsonl", *options, *self._args]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "JOB_LOG": str(self.log), "OMP_NUM_THREADS": "1"},
            text=True,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        # a benchmark that is ended half-way leaves no job behind
        atexit.register(process.kill)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return process

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The session's events of one kind."""
        path = self.folder / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait_for(self, kind: str, count: int = 1, least_step: int = 1) -> None:
        """Wait until so many events of a kind with that step or a later one have come."""
        deadline = time.monotonic() + 300
        while sum(event["step"] >= least_step for event in self.events(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind}"
            time.sleep(0.05)

    def steps_done(self) -> list[tuple[int, float]]:
        """Number and time of each step that was done, in the order of doing."""
        words = [line.split() for line in self.log.read_text().splitlines()]
        return [(int(step), float(at)) for step, at in words]


def raw_write_s(folder: Path, size_bytes: int) -> float:
    """Seconds that writing so many bytes takes past the page cache, with nothing beside it (O_DIRECT, fsync)."""
    chunk = mmap.mmap(-1, 16 << 20)
    chunk.write(os.urandom(1 << 20) * 16)
    path = folder / "raw"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
    except OSError:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begin = time.perf_counter()
    left = size_bytes
    while left > 0:
        length = min(len(chunk), -(-left // 4096) * 4096)
        left -= os.write(file, memoryview(chunk)[:length])
    os.fsync(file)
    took = time.perf_counter() - begin
    os.close(file)
    path.unlink()
    return took


def synced(path: Path) -> None:
    """Bring a file that was written, or all of a folder, to the disk."""
    for each in [*path.rglob("*"), path]:
        file = os.open(each, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def copy_s(size_bytes: int) -> float:
    """Seconds that a warm copy of so many bytes takes."""
    import numpy as np

    source, target = np.ones(size_bytes, np.uint8), np.ones(size_bytes, np.uint8)
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        np.copyto(target, source)
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def spread(values: list[float]) -> str:
    """Median and range, for a table."""
    return f"{statistics.median(values):8.3f} s ({min(values):.3f} to {max(values):.3f}, n={len(values)})"


def where() -> str:
    """The machine and the versions, for a report."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
