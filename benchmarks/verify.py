"""What ``survivor verify`` costs, as a multiple of the plain script's run: the aim is 2 + K/2 for K kills.

    python benchmarks/verify.py [--kills 6] [--epochs 12] [--steps 110] [--out docs/charts]

Two scripts: ``examples/digits.py``, whose model is tiny, so that looking at its state is a large share of a step; and a
wider net with ten million numbers of state and longer steps. Each is verified at two lengths. What a proof costs more
for the longer one, over what the plain script costs more, is the factor of a long run: the starts of Python, torch and
survivor, which are the same for both, fall out. Counted is the processor time of all processes, those included that a
kill has left to nobody, since on a shared machine wall clock says little.
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


def verify(words: list[str], folder: Path, kills: int) -> Cost:
    """What a proof of a script costs."""
    return cost(["-m", "survivor", "verify", "--kills", str(kills), "--threads", "1", *words], folder)


def measured(name: str, script: list[str], lengths: tuple[int, int], folder: Path, kills: int) -> list[str]:
    """The row of one script; its last word is its length."""
    plain, proof = zip(
        *((cost(words, folder), verify(words, folder, kills)) for words in ([*script, str(n)] for n in lengths)),
        strict=True,
    )
    slope = (proof[1].cpu - proof[0].cpu) / (plain[1].cpu - plain[0].cpu)
    return [
        name,
        f"{2 + kills / 2:g}",
        f"**{slope:.2f}**",
        f"{lengths[0]} and {lengths[1]}",
        f"{plain[0].cpu:.1f} and {plain[1].cpu:.1f}",
        f"{proof[0].cpu:.0f} and {proof[1].cpu:.0f}",
        f"{proof[0].cpu / plain[0].cpu:.1f} and {proof[1].cpu / plain[1].cpu:.1f}",
    ]


def main() -> None:
    """Measure and print."""
    args = options(__doc__, kills=6, epochs=12, steps=110)
    kills = 2 if args.small else args.kills
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as place:
        digits, wide = Path(place, "digits"), Path(place, "wide")
        digits.mkdir(), wide.mkdir()
        shutil.copy(HERE.parent / "examples" / "digits.py", digits)
        (wide / "wide.py").write_text(_WIDE)
        rows = [measured("a wide net", ["wide.py"], (6, 12) if args.small else (10, args.steps), wide, kills)]
        if not args.small:
            rows.insert(0, measured("digits.py", ["digits.py", "--epochs"], (2, args.epochs), digits, kills))
    head = ["script", "2 + K/2", "a long run", "lengths", "plain, s", f"verify --kills {kills}, s", "verify over plain"]
    title = f"survivor verify --kills {kills} of a long run, over the plain run"
    bars = [[f"survivor: {row[0]}", *[float(row[2].strip("*"))] * 3] for row in rows]
    chart = {"kind": "bars", "title": title, "label": "processor time", "bars": bars, "target": 2 + kills / 2}
    publish(Result("verify", [Table(head, rows)], chart), args.out)


if __name__ == "__main__":
    main()
