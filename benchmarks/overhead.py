"""What survivor costs a job while nothing goes wrong: per iteration, and in all for steps of a millisecond.

    python benchmarks/overhead.py [--rounds 3] [--batches 2500] [--longer 5] [--out docs/charts]

First the price of a safe point that does nothing, as CPU time of a loop that is watched less that of the same
loop left alone. Then one job, whose step takes about a millisecond, in turns (A B A B …) by each of those who take
part, with checkpoints as they come by default: survivor's own rule, each epoch with the others. Shown are the wall
times of the training loop over that of plain ``python``, and the CPU times of its process, medians over the rounds with
the spread. On a shared machine the second is the steadier one. Last comes the same job so many times as long, in
which what is paid once weighs less.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from contest import BY_HAND, OURS, PLAIN, RAY, SURVIVOR, TOOLS, Contestant, present
from measure import Result, Table, last_line, median, options, publish, ratios, spread, turns

_SAFE_POINT = """
import time, torch
w = torch.zeros(2, requires_grad=True)
def act(): pass
def run(n):
    marks = []
    for i in range(n):
        if i == 0:
            w.sum().backward()
        act()
        if i % 2000 == 0:
            marks.append(time.thread_time())
    return min(b - a for a, b in zip(marks, marks[1:])) / 2000
print(run(200000))
"""


def run(who: Contestant, size: list[str]) -> dict[str, Any]:
    """One run in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        return last_line(who.command(size), Path(folder))


def safe_point_s() -> float:
    """CPU seconds that a safe point adds to an iteration when it does nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "point.py").write_text(_SAFE_POINT)
        alone, watched = (
            float(last_line([sys.executable, *how, "point.py"], folder))  # type: ignore[arg-type]
            for how in ((), SURVIVOR)
        )
        return watched - alone


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=3, epochs=4, batches=2500, width=256, longer=5)
    if args.small:
        args.rounds, args.epochs, args.batches, args.longer = 1, 1, 100, 1

    def sized(batches: int) -> list[str]:
        return [str(w) for w in ("--epochs", args.epochs, "--batches", batches, "--width", args.width)]

    ways = {one.name: partial(run, one, sized(args.batches)) for one in present(PLAIN, OURS, BY_HAND, *TOOLS, RAY)}
    found = turns(args.rounds, ways)
    long_ones = turns(
        args.rounds, {one.name: partial(run, one, sized(args.longer * args.batches)) for one in (PLAIN, OURS)}
    )
    plain = found.pop(PLAIN.name)
    assert {run["digest"] for run in (*plain, *found[OURS.name])} == {plain[0]["digest"]}, "the two results differ"
    rows, bars = [], []
    compared = {f"{OURS.name}, {args.longer} times as long": (long_ones[OURS.name], long_ones[PLAIN.name])}
    compared |= {name: (runs, plain) for name, runs in found.items()}
    for name, (runs, alone) in compared.items():
        wall, cpu = (ratios([run[what] for run in runs], [run[what] for run in alone]) for what in ("wall", "cpu"))
        rows.append([name, spread(wall, ".3f"), spread(cpu, ".3f")])
        bars.append([name, median(wall), min(wall), max(wall)])
    steps = args.epochs * args.batches
    step_ms = median([run["wall"] for run in plain]) / steps * 1e3
    notes = [
        f"A step took {step_ms:.2f} ms; {args.rounds} rounds of {steps:,} steps. Checkpoints: survivor's by default, "
        f"the others' at each epoch's end ({args.epochs} epochs). A safe point that does nothing costs "
        f"{safe_point_s() * 1e6:.2f} us of CPU time."
    ]
    chart = {
        "kind": "bars",
        "title": "A job with steps of about a millisecond: run time over plain python",
        "label": "wall time of the training loop / plain",
        "bars": bars,
        "target": 1.01,
        "form": ".3f",
    }
    publish(
        Result("overhead", [Table(["run by", "wall time over plain", "CPU time over plain"], rows)], chart, notes),
        args.out,
    )


if __name__ == "__main__":
    main()
