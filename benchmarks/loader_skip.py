"""What it costs to bring a loader back, and to carry the workers' random number generators.

    python benchmarks/loader_skip.py

An item of the data set takes 1 ms, so consuming a million batches of 4 again would take over an hour. The
first table is the time to reposition a new iterator after so many batches (nothing is fetched); the second
what tracking adds to a batch, and the position's size; the last lines what a worker pays to see that
nothing has moved, or to read what has. Times are the best of a few runs.
"""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from survivor.state import loaders
from survivor.state.loaders.worker import Carrier

BATCH = 4


class Slow(Dataset[int]):
    """Items that take a millisecond; none of them should ever be asked for."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        time.sleep(0.001)
        return index


class Quick(Slow):
    """Items that cost next to nothing, and draw from the generators that ``draws`` names."""

    def __init__(self, length: int, draws: str) -> None:
        super().__init__(length)
        self.draws = draws

    def __getitem__(self, index: int) -> int:
        if "python" in self.draws:
            random.random()
        if "numpy" in self.draws:
            np.random.rand()
        if "torch" in self.draws:
            torch.rand(1)
        return index


def skip_s(count: int, **options: Any) -> float:
    """Seconds to stand after ``count`` batches; the position is written by hand, not by consuming them."""
    loader = DataLoader(Slow((count + 100) * BATCH), batch_size=BATCH, **options)
    torch.manual_seed(1)
    it = iter(loader)
    if options.get("num_workers"):
        ahead = it._prefetch_factor * it._num_workers  # type: ignore[attr-defined]
    else:
        it._next_index()  # type: ignore[attr-defined]
        ahead = 0
    state = loaders.capture(it)
    state["consumed"] = state["yielded"] = count
    state["stream"].update(drawn=count + ahead, last=None)
    loaders.deferring = True
    fresh = iter(loader)
    loaders.deferring = False
    began = time.perf_counter()
    loaders.reposition(fresh, state)
    return time.perf_counter() - began


def batch_us(count: int, draws: str, tracked: bool, **options: Any) -> float:
    """Microseconds a batch over an epoch, the start of the workers left out."""
    if tracked:
        loaders.install()
    it = iter(DataLoader(Quick(count * BATCH, draws), batch_size=BATCH, shuffle=True, **options))
    for _ in range(20):
        next(it)
    began = time.perf_counter()
    for _ in it:
        pass
    return (time.perf_counter() - began) / (count - 20) * 1e6


def best(measure: Callable[[], float], runs: int = 3) -> float:
    """The smallest of a few measurements: what the program costs, without its neighbours."""
    return min(measure() for _ in range(runs))


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    kinds = {"no workers": {"num_workers": 0}, "2 workers": {"num_workers": 2}}
    work = {"nothing": "", "python, numpy, torch": "python numpy torch"}
    plain = {
        (kind, name): best(lambda: batch_us(2000, draws, False, **options))  # noqa: B023 - called at once
        for kind, options in kinds.items()
        for name, draws in work.items()
    }
    print("| batches skipped | sequential | shuffled | shuffled, 2 workers |\n|---|---|---|---|")
    loaders.install()
    for count in (1_000, 100_000, 1_000_000):
        cells = [
            skip_s(count),
            skip_s(count, shuffle=True),
            skip_s(count, shuffle=True, num_workers=2),
        ]
        print(f"| {count:,} |" + "".join(f" {cell:.4f} s |" for cell in cells))
    print("\n| loader | items draw from | plain, µs a batch | tracked | position |\n|---|---|---|---|---|")
    for (kind, name), before in plain.items():
        after = best(lambda: batch_us(2000, work[name], True, **kinds[kind]))  # noqa: B023
        print(f"| {kind} | {name} | {before:.0f} | {after:.0f} | {size_kb(work[name], kinds[kind]):.0f} kB |")
    print(f"\nin the worker, nothing moved: {best(lambda: worker_read_us('')):.0f} µs a batch")
    print(f"in the worker, all three moved: {best(lambda: worker_read_us('python numpy torch')):.0f} µs a batch")


def worker_read_us(draws: str) -> float:
    """Microseconds that a worker spends on a batch's states, drawing of the one item included."""
    data = Quick(1, draws)
    carrier = Carrier(0, {"dataset": data, "collate_fn": None, "init_fn": None})
    carrier.begin()
    began = time.perf_counter()
    for _ in range(1000):
        data[0]
        carrier.delta()
    return (time.perf_counter() - began) * 1000


def size_kb(draws: str, options: dict[str, Any]) -> float:
    """Kilobytes that a captured position takes."""
    it = iter(DataLoader(Quick(400, draws), batch_size=BATCH, shuffle=True, **options))
    for _ in range(10):
        next(it)
    return len(pickle.dumps(loaders.capture(it))) / 1000


if __name__ == "__main__":
    main()
