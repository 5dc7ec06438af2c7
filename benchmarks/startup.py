"""How long it takes until something happens: ``survivor --help``, and the first line of a script.

    python benchmarks/startup.py [--rounds 7] [--out docs/charts]

The script imports torch and prints the time. Its first line under survivor is compared with the same under python,
which imports torch too: what is left is survivor's own start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contest import SURVIVOR
from measure import Result, Table, environment, median, options, publish, spread, turns

_SCRIPT = """
import torch, time
print("first line", time.time(), flush=True)
"""


@dataclass
class Start:
    """One start.

    Attributes:
        wall_s: seconds from the command to its end, or to the script's first line.
        cpu_s: processor seconds of the command and of all that it started.
    """

    wall_s: float
    cpu_s: float


def started(folder: Path, *words: str) -> Start:
    """Run python with these words; a script that prints "first line" ends the time there."""
    begin, before = time.time(), os.times()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    end, after = time.time(), os.times()
    line = next((line for line in done.stdout.splitlines() if line.startswith("first line")), f"{end}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(float(line.split()[-1]) - begin, cpu)


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=7)
    if args.small:
        args.rounds = 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.py").write_text(_SCRIPT)
        commands: dict[str, tuple[str, ...]] = {
            "python -c pass": ("-c", "pass"),
            "survivor --help": ("-m", "survivor", "--help"),
            'python -c "import torch"': ("-c", "import torch"),
            "first line under python": ("script.py",),
            "survivor run: first line": (*SURVIVOR, "--fresh", "script.py"),
        }
        found = turns(args.rounds, {label: partial(started, folder, *words) for label, words in commands.items()})
    walls = {label: [one.wall_s for one in starts] for label, starts in found.items()}
    cpus = {label: [one.cpu_s for one in starts] for label, starts in found.items()}
    rows = [[label, spread(walls[label]), spread(cpus[label])] for label in found]
    own = [
        spread([a - b for a, b in zip(kind["survivor run: first line"], kind["first line under python"], strict=True)])
        for kind in (walls, cpus)
    ]
    rows.append(["survivor's own part of it", *own])
    bars = [[label, median(values), min(values), max(values)] for label, values in walls.items()]
    chart = {"kind": "bars", "title": "Start: seconds from the command on", "label": "seconds", "bars": bars}
    notes = ["Processor time is that of the whole command, with survivor's two other processes and its end."]
    head = ["until", "seconds", "processor seconds"]
    publish(Result("startup", [Table(head, rows)], chart, notes), args.out)


if __name__ == "__main__":
    main()
