"""What ``survivor verify`` costs, as a multiple of the plain script's run: the aim is 2 + K/2 for K kills.

    python benchmarks/verify.py [--epochs 60] [--steps 400] [--out docs/charts]

Two scripts: ``examples/digits.py``, whose model is tiny, so that looking at its state is a large share of a step; and a
wider net with ten million numbers of state and longer steps. Counted is the processor time of all processes, those
included that a kill has left to nobody, since on a shared machine wall clock says little. Beside the factor stands what
it would be if the tracer, the checkpoints and the work that is done again cost nothing, and only the processes' starts
(Python, torch, the data) came on top of 2 + K/2 runs.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measure import HERE, Result, Table, environment, options, publish

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: what a killed supervisor leaves is ours to wait for, and is counted
_WIDE = """
import sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = TensorDataset(torch.randn(3200, 1024), torch.randint(10, (3200,)))
model = nn.Sequential(nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(0.1), nn.Linear(1024, 1024), nn.ReLU(),
                      nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
total = int(sys.argv[1])
step = 0
while step < total:
    for x, y in DataLoader(data, batch_size=256, shuffle=True):
        if step == total:
            break
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 10 == 0:
            print(step, loss.item())
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time and of wall clock."""

    cpu: float
    wall: float


def cost(words: list[str], folder: Path) -> Cost:
    """What a command costs, with everything that it starts."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate()
    wall = time.monotonic() - begin
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}:\n{out.decode()[-2000:]}\n{err.decode()[-2000:]}")
    try:
        while os.waitpid(-1, 0):
            continue
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def verify(words: list[str], folder: Path, kills: int, sample: int) -> Cost:
    """What a proof of a script costs."""
    command = ["-m", "survivor", "verify", "--kills", str(kills), "--sample", str(sample), "--threads", "1", *words]
    return cost(command, folder)


def starts(kills: int) -> int:
    """The processes of a proof that train: two plain ones, and of each interrupted run, with two kills, three."""
    return 2 + kills + -(-kills // 2)


Rows = list[list[str]]


def measured(name: str, words: list[str], folder: Path, ways: list[tuple[int, int]]) -> Rows:
    """A row for each number of kills and each sample; the last word is the script's length."""
    short = [*words[:-1], "0"]
    start = cost(short, folder)
    plain = cost(words, folder)
    rows = []
    for kills, sample in ways:
        found = verify(words, folder, kills, sample)
        runs = 2 + kills / 2
        least = (runs * (plain.cpu - start.cpu) + starts(kills) * start.cpu) / plain.cpu
        rows.append([
            f"{name}, K = {kills}" + (f", `--sample {sample}`" if sample > 1 else ""),
            f"{plain.cpu:.0f} ({start.cpu:.1f})",
            f"{found.cpu:.0f}",
            f"**{found.cpu / plain.cpu:.2f}**",
            f"{runs:g}",
            f"{least:.2f}",
            f"{found.wall / plain.wall:.2f}",
        ])
    return rows


def main() -> None:
    """Measure and print."""
    args = options(__doc__, epochs=60, steps=400)
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as place:
        digits, wide = Path(place, "digits"), Path(place, "wide")
        digits.mkdir(), wide.mkdir()
        shutil.copy(HERE.parent / "examples" / "digits.py", digits)
        (wide / "wide.py").write_text(_WIDE)
        rows = []
        if not args.small:
            words = ["digits.py", "--epochs", str(args.epochs)]
            ways = [(2, 1), (6, 1), (6, 20)]
            rows += measured("digits.py", words, digits, ways)
        steps, ways = (12, [(2, 1)]) if args.small else (args.steps, [(2, 1), (6, 1), (6, 20)])
        rows += measured("a wide net", ["wide.py", str(steps)], wide, ways)
    head = ["script and kills", "plain, s (its start)", "verify, s", "factor", "2 + K/2", "with starts", "wall factor"]
    bars = [[row[0].replace("`", ""), *[float(row[3].strip("*"))] * 3] for row in rows]
    title = "survivor verify over the plain run, processor time"
    chart = {"kind": "bars", "title": title, "label": "factor", "bars": bars}
    publish(Result("verify", [Table(head, rows)], chart), args.out)


if __name__ == "__main__":
    main()
