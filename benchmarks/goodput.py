"""A job that is preempted ten times at random: its wall time over that of the plain job left alone.

    python benchmarks/goodput.py [--kills 10] [--seed 7] [--epochs 4] [--batches 2000] [--out docs/charts]

Each contestant trains the same network on the same data and is killed at the same ten random moments of the work,
all its processes by SIGKILL, as when a machine is taken away. What it does then is up to its own means: the same
command is given again until it ends with 0. The peers' checkpoints are spaced by the rule of Young and Daly,
sqrt(2 C M) with C the cost of a checkpoint, measured first, and M the mean time between kills. At the end the weights
and the optimizer's state are compared with those of the same program left alone.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from contest import BY_HAND, OURS, PLAIN, TOOLS, Contestant, power_cut, present, start
from measure import Result, Table, last_line, median, options, publish

#: With kills seconds apart the same rule asks for more than 1% of the time, from survivor as from the others.
OURS_AT = ("--every", "0.5s", "--overhead", "5%")


@dataclass
class Outcome:
    """What a preempted run came to."""

    wall_s: float
    steps_again: int
    digest: str
    steps: int


def size(args: Any, every: int = 0, epochs: int | None = None) -> list[str]:
    """The job's arguments."""
    words = {"--epochs": epochs or args.epochs, "--batches": args.batches, "--width": args.width, "--every": every}
    return [str(word) for pair in words.items() for word in pair]


def alone(who: Contestant, args: Any, every: int = 0, epochs: int | None = None) -> dict[str, Any]:
    """A run that nobody disturbs; ``total`` is the wall time of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = last_line(who.command(size(args, every, epochs)), Path(folder))
        return {**found, "total": time.perf_counter() - begin}


def tuned(who: Contestant, args: Any, step_s: float, between_s: float) -> int:
    """Steps between checkpoints by the rule of Young and Daly; one epoch with many is compared with one with one."""
    often = max(args.batches // 20, 1)
    cost_s = max(alone(who, args, often, 1)["wall"] - alone(who, args, 0, 1)["wall"], 0.0) / (args.batches / often)
    return min(max(round(math.sqrt(2 * max(cost_s, 1e-3) * between_s) / step_s), 1), args.batches)


def standing(folder: Path) -> int:
    """Steps that stand now."""
    file = folder / "progress"
    return int.from_bytes(file.read_bytes(), "little") if file.exists() else 0


def preempted(command: list[str], kills: list[int]) -> Outcome:
    """Run a command until it ends well, and kill it when its work first comes to each of these steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output, again = folder / "output", 0
        begin = time.perf_counter()
        for kill in [*kills, None]:
            before = standing(folder)
            process = start(command, folder, output)
            first = None
            while process.poll() is None:
                now = standing(folder)
                if now != before and first is None:
                    first = now
                    again += max(before - now + 1, 0)
                if kill is not None and now >= kill and first is not None:
                    power_cut(process)
                    break
                time.sleep(0.002)
            else:
                if process.returncode or kill is not None:
                    raise SystemExit(f"{command} ended with {process.returncode}\n{output.read_text()[-4000:]}")
        found = json.loads(next(x for x in reversed(output.read_text().splitlines()) if x.startswith("{")))
        return Outcome(time.perf_counter() - begin, again, found["digest"], found["steps"])


class Contest:
    """The rows as they come in, and the plain runs between them, which all are measured by."""

    head: ClassVar[list[str]] = [
        "run by",
        "checkpoints",
        "wall time over plain",
        "a kill costs",
        "steps done again per kill",
        "end result equal",
    ]

    def __init__(self, args: Any) -> None:
        self.args = args
        self.steps = args.epochs * args.batches
        chance = random.Random(args.seed)
        self.kills = sorted(chance.sample(range(self.steps // 50, self.steps * 49 // 50), args.kills))
        self.plain = [alone(PLAIN, args)]
        self.rows: list[list[str]] = []
        self.bars: list[list[Any]] = []

    def take(self, who: Contestant) -> None:
        """One contestant, and a plain run after it."""
        args, first = self.args, self.plain[0]
        step_s, between_s = first["wall"] / self.steps, first["wall"] / (args.kills + 1)
        every = tuned(who, args, step_s, between_s) if who.tunable else 0
        flags = OURS_AT if who is OURS else ()
        setting = f"every {every} steps" if who.tunable else f"`{' '.join(flags)}`" if flags else "each epoch"
        own = alone(who, args, every) if who.tunable else first
        found = preempted(who.command(size(args, every), *flags), self.kills)
        self.plain.append(alone(PLAIN, args))
        ratio = 2 * found.wall_s / (self.plain[-1]["total"] + self.plain[-2]["total"])
        cost_s, again = (found.wall_s - own["total"]) / args.kills, found.steps_again / args.kills
        equal = found.digest == own["digest"]
        if who is OURS and not equal:
            raise SystemExit("survivor's result is not that of the plain run")
        end = "bit for bit" if equal else "no"
        self.rows.append([who.name, setting, f"**{ratio:.2f}**", f"{cost_s:.2f} s", f"{again:.0f}", end])
        self.bars.append([who.name, ratio, ratio, ratio])

    def result(self) -> Result:
        """What came out."""
        totals = sorted(run["total"] for run in self.plain)
        middle = median(totals)
        start_s = median([run["total"] - run["wall"] for run in self.plain])
        ideal = 1 + self.args.kills * start_s / middle
        notes = [
            f"{self.args.kills} kills (SIGKILL to all processes) at steps {', '.join(map(str, self.kills))} of "
            f"{self.steps} (seed {self.args.seed}). The plain job took {middle:.1f} s ({totals[0]:.1f} to "
            f"{totals[-1]:.1f} in {len(totals)} runs, between the others), {start_s:.1f} s of it before its loop: with "
            f"nothing lost but as many starts of python the ratio would be {ideal:.2f}. *A kill costs* counts from "
            "the same program left alone."
        ]
        chart = {
            "kind": "bars",
            "title": f"A job killed {self.args.kills} times: wall time over plain python",
            "label": "wall time / plain (1 = never killed; the target is as many starts and nothing else)",
            "bars": self.bars,
            "form": ".2f",
            "target": ideal,
        }
        return Result("goodput", [Table(self.head, self.rows)], chart, notes)


def main() -> None:
    """Measure and print."""
    args = options(__doc__, kills=10, seed=7, epochs=4, batches=2000, width=512)
    if args.small:
        args.kills, args.epochs, args.batches, args.width = 2, 2, 60, 64
    contest = Contest(args)
    for who in present(OURS, BY_HAND, *TOOLS):
        try:
            contest.take(who)
        except SystemExit as error:
            if who not in TOOLS:
                raise
            # what a tool can't do is a finding, and no reason to lose the others' figures
            print(error, file=sys.stderr)
            contest.rows.append([who.name, "", "did not come through", "", "", ""])
        print(*contest.rows[-1], sep=" | ", file=sys.stderr, flush=True)
    publish(contest.result(), args.out)


if __name__ == "__main__":
    main()
