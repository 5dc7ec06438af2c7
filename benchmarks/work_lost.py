"""What SIGKILL of the training process costs: steps that have to be done again, with the default settings.

    python benchmarks/work_lost.py [--mb 100] [--kills 10] [--seed 1] [--out docs/charts]

The training process of a job with a state of that size is killed at random moments; its log tells which steps were
done twice. Beside it stands what a checkpoint by other means would lose at the same overhead: training waits for each
save, measured here, so at 1% of the time there can be one every hundred saves' time; half of that is lost on average,
and all of it at most.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import MB, Job, synced
from measure import Result, Table, median, options, publish, seconds, spread

OVERHEAD = 0.01


def lost(folder: Path, size_bytes: int, kills: int, seed: int) -> tuple[list[int], list[float]]:
    """Steps done again after each kill, and the seconds that they had taken."""
    job = Job(folder, size_bytes, steps=10**6, pause_s=0.005)
    process = job.start("--max-restarts", "99")
    chance = random.Random(seed)
    for number in range(kills):
        job.wait_for("started", count=number + 1, least_step=0)
        job.wait_for("snapshot_taken", count=3 * (number + 1))
        time.sleep(chance.uniform(2, 6))
        os.kill(job.events("started")[-1]["pid"], signal.SIGKILL)
    job.wait_for("started", count=kills + 1, least_step=0)
    job.wait_for("snapshot_taken", count=3 * kills + 1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 75, err
    steps, took = [], []
    done = job.steps_done()
    for before, after in itertools.pairwise(done):
        if after[0] <= before[0]:
            first = next(at for step, at in reversed(done[: done.index(before) + 1]) if step == after[0])
            steps.append(before[0] - after[0] + 1)
            took.append(before[1] - first)
    steps += [0] * (kills - len(steps))
    took += [0.0] * (kills - len(took))
    return steps, took


def saves(folder: Path, size_bytes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds that training waits for one save of as many bytes."""
    import torch
    import torch.distributed.checkpoint as dcp
    from safetensors.torch import save_file

    state, path, number = {"weights": torch.randn(size_bytes // 4)}, folder / "peer", itertools.count()

    def durable(save: Callable[[], object]) -> None:
        save()
        synced(path)

    def save_dcp() -> Any:
        return dcp.save(state, checkpoint_id=folder / f"dcp{next(number)}", no_dist=True)

    ways: dict[str, Callable[[], object]] = {
        "torch.save + fsync": lambda: durable(lambda: torch.save(state, path)),
        "safetensors save_file + fsync": lambda: durable(lambda: save_file(state, path)),
        "DCP save": save_dcp,
    }
    return {name: [seconds(call) for _ in range(rounds)] for name, call in ways.items()}


def main() -> None:
    """Measure and print."""
    args = options(__doc__, mb=100, kills=10, seed=1)
    if args.small:
        args.mb, args.kills = 5, 1
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        steps, took = lost(Path(name), args.mb * MB, args.kills, args.seed)
        others = saves(Path(name), args.mb * MB, 1 if args.small else 3)
    rows = [["survivor, measured", f"{median(took):.2f} s", f"{max(took):.2f} s", f"{median(steps):.0f} steps"]]
    bars = [["survivor", median(took), min(took), max(took)]]
    for label, found in others.items():
        interval = median(found) / OVERHEAD
        rows.append([f"{label}, {spread(found)} s a save", f"{interval / 2:.1f} s", f"{interval:.1f} s", ""])
        bars.append([label, interval / 2, 0.0, interval])
    notes = [f"A state of {args.mb} MB; {args.kills} times SIGKILL (seed {args.seed}); `--overhead 1%`, `--every 30s`."]
    title = "Work lost to SIGKILL of the training process, at 1% overhead"
    chart = {"kind": "bars", "title": title, "label": "seconds of training", "bars": bars}
    head = ["at 1% overhead", "lost: median", "most", "in steps of 5 ms or so"]
    publish(Result("work_lost", [Table(head, rows)], chart, notes), args.out)


if __name__ == "__main__":
    main()
