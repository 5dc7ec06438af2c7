"""How long it takes until something happens: ``survivor --help``, and the first line of a script.

    python benchmarks/startup.py [--rounds 7] [--out docs/charts]

The script imports torch and prints the time. Its first line under survivor is compared with the same under python,
which imports torch too: what is left is survivor's own start.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from contest import SURVIVOR
from measure import Result, Table, environment, median, options, publish, seconds, spread, turns

_SCRIPT = """
import torch, time
print("first line", time.time(), flush=True)
"""


def first_line_s(folder: Path, *launcher: str) -> float:
    """Seconds from the command to the script's first line, torch imported."""
    begin = time.time()
    command = [sys.executable, *launcher, "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("first line"))
    return float(line.split()[-1]) - begin


def whole_s(*command: str) -> float:
    """Seconds that a command takes."""
    words = [sys.executable, *command]
    return seconds(lambda: subprocess.run(words, env=environment(), capture_output=True, check=True))


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=7)
    if args.small:
        args.rounds = 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.py").write_text(_SCRIPT)
        found = turns(
            args.rounds,
            {
                "python -c pass": partial(whole_s, "-c", "pass"),
                "survivor --help": partial(whole_s, "-m", "survivor", "--help"),
                'python -c "import torch"': partial(whole_s, "-c", "import torch"),
                "first line under python": partial(first_line_s, folder),
                "survivor run: first line": partial(first_line_s, folder, *SURVIVOR, "--fresh"),
            },
        )
    over = [a - b for a, b in zip(found["survivor run: first line"], found["first line under python"], strict=True)]
    rows = [[label, spread(values)] for label, values in found.items()]
    rows.append(["survivor's own part of it", spread(over)])
    bars = [[label, median(values), min(values), max(values)] for label, values in found.items()]
    chart = {"kind": "bars", "title": "Start: seconds from the command on", "label": "seconds", "bars": bars}
    publish(Result("startup", [Table(["until", "seconds"], rows)], chart), args.out)


if __name__ == "__main__":
    main()
