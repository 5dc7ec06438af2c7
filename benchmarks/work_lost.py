"""What SIGKILL of the training process costs: steps that have to be done again, with the default settings.

``python benchmarks/work_lost.py [MB] [KILLS] [FOLDER]``: the training process of a job with a state of that size is
killed at random moments; its log tells which steps were done twice.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from jobs import MB, Job, spread, where


def lost(folder: Path, size_bytes: int, kills: int) -> tuple[list[int], list[float]]:
    """Steps done again after each kill, and the seconds that they had taken."""
    job = Job(folder, size_bytes, steps=10**6, pause_s=0.005)
    process = job.start("--max-restarts", "99")
    chance = random.Random(1)
    for number in range(kills):
        job.wait_for("started", count=number + 1, least_step=0)
        job.wait_for("snapshot_taken", count=3 * (number + 1))
        time.sleep(chance.uniform(2, 6))
        os.kill(job.events("started")[-1]["pid"], signal.SIGKILL)
    job.wait_for("started", count=kills + 1, least_step=0)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 75, err
    steps, seconds = [], []
    done = job.steps_done()
    for before, after in itertools.pairwise(done):
        if after[0] <= before[0]:
            first = next(at for step, at in reversed(done[: done.index(before) + 1]) if step == after[0])
            steps.append(before[0] - after[0] + 1)
            seconds.append(before[1] - first)
    steps += [0] * (kills - len(steps))
    seconds += [0.0] * (kills - len(seconds))
    return steps, seconds


def main() -> None:
    """Measure and print."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 100)
    kills = int(sys.argv[2] if len(sys.argv) > 2 else 10)
    folder = Path(tempfile.mkdtemp(dir=sys.argv[3] if len(sys.argv) > 3 else None))
    try:
        steps, seconds = lost(folder, size * MB, kills)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{where()}\nstate of {size} MB, {kills} times SIGKILL, --overhead 1%, --every 30s")
    print(f"steps done again: median {statistics.median(steps):.0f}, most {max(steps)}")
    print(f"time done again: {spread(seconds)}")


if __name__ == "__main__":
    main()
