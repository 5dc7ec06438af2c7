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
from typing import Any

from contest import BY_HAND, OURS, PLAIN, TOOLS, Contestant, power_cut, present, start
from measure import Result, Table, last_line, options, publish

#: survivor's own rule keeps the cost under a share of the time; this only says that ten minutes are not to be lost here
EVERY = "1s"


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


def main() -> None:
    """Measure and print."""
    args = options(__doc__, kills=10, seed=7, epochs=4, batches=2000, width=512)
    if args.small:
        args.kills, args.epochs, args.batches, args.width = 2, 2, 60, 64
    steps = args.epochs * args.batches
    kills = sorted(random.Random(args.seed).sample(range(steps // 50, steps * 49 // 50), args.kills))
    plain = [alone(PLAIN, args)]
    step_s, between_s = plain[0]["wall"] / steps, plain[0]["wall"] / (args.kills + 1)
    rows, bars = [], []
    for who in present(OURS, BY_HAND, *TOOLS):
        every = tuned(who, args, step_s, between_s) if who.tunable else 0
        flags = ("--every", EVERY) if who is OURS else ()
        setting = f"every {every} steps" if who.tunable else f"`--every {EVERY}`" if flags else "each epoch"
        own = alone(who, args, every) if who.tunable else plain[0]
        found = preempted(who.command(size(args, every), *flags), kills)
        plain.append(alone(PLAIN, args))
        base = (plain[-1]["total"] + plain[-2]["total"]) / 2
        ratio, each_s = found.wall_s / base, (found.wall_s - own["total"]) / args.kills
        equal = "bit for bit" if found.digest == own["digest"] else "no"
        again = f"{found.steps_again / args.kills:.0f}"
        rows.append([who.name, setting, f"**{ratio:.2f}**", f"{each_s:.2f} s", again, equal])
        bars.append([who.name, ratio, ratio, ratio])
        print(*rows[-1], sep=" | ", file=sys.stderr)
    head = [
        "run by",
        "checkpoints",
        "wall time over plain",
        "a kill costs",
        "steps done again per kill",
        "end result equal",
    ]
    bases = sorted(run["total"] for run in plain)
    notes = [
        f"{args.kills} kills (SIGKILL to all processes) at steps {', '.join(map(str, kills))} of {steps} (seed "
        f"{args.seed}); the plain job took {bases[len(bases) // 2]:.1f} s ({bases[0]:.1f} to {bases[-1]:.1f} in "
        f"{len(bases)} runs, between the others). *A kill costs* counts from the same program left alone."
    ]
    title = f"A job killed {args.kills} times: wall time over plain python"
    chart = {
        "kind": "bars",
        "title": title,
        "label": "wall time / plain (1 = never killed)",
        "bars": bars,
        "form": ".2f",
    }
    publish(Result("goodput", [Table(head, rows)], chart, notes), args.out)


if __name__ == "__main__":
    main()
