"""What survivor costs a job while nothing goes wrong: per iteration, and in all for steps of a millisecond.

    python benchmarks/overhead.py [--rounds 5] [--steps 20000]

First the price of a safe point that does nothing, as CPU time of a loop that is watched less that of the same
loop left alone. Then one job, whose step takes about a millisecond, under ``python`` and under ``survivor
run`` in turns (A B A B …), checkpoints on as by default: the ratio of the wall times of its loop and of the CPU times
of its process, medians over the rounds, with the spread. On a shared machine the second is the steadier one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

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

_JOB = """
import json, sys, time, torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
steps = int(sys.argv[1])
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
data, target = torch.randn(4096, 64), torch.randint(10, (4096,))
history = []
begin, cpu = time.perf_counter(), time.process_time()
for step in range(steps):
    at = step * 32 % 4096
    loss = nn.functional.cross_entropy(model(data[at:at + 32]), target[at:at + 32])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append(loss.item())
print(json.dumps({"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "last": history[-1]}))
"""


def output(command: list[str], folder: Path) -> str:
    """What a command prints last."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20000)
    options = parser.parse_args()
    python, survivor = [sys.executable], [sys.executable, "-m", "survivor", "run", "--fresh"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "point.py").write_text(_SAFE_POINT)
        (folder / "job.py").write_text(_JOB)
        alone = float(output([*python, "point.py"], folder))
        watched = float(output([*survivor, "point.py"], folder))
        print(f"a safe point that does nothing: {(watched - alone) * 1e6:.2f} us of CPU time per iteration")
        pairs = []
        for _ in range(options.rounds):
            a, b = (json.loads(output([*how, "job.py", str(options.steps)], folder)) for how in (python, survivor))
            assert a["last"] == b["last"], "the two runs differ"
            pairs.append((a, b))
    step = statistics.median(a["wall"] for a, _ in pairs) / options.steps
    print(f"a step takes {step * 1e3:.2f} ms; {options.rounds} rounds of {options.steps} steps")
    for what in ("wall", "cpu"):
        ratios = sorted(b[what] / a[what] for a, b in pairs)
        middle, spread = statistics.median(ratios), f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
        print(f"{what} time under survivor / alone: {middle:.3f} ({spread})")


if __name__ == "__main__":
    main()
