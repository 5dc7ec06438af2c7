"""What it costs to stand behind a million batches again, beside those who can do it too; and what tracking costs.

    python benchmarks/loader_skip.py [--largest 1000000] [--rounds 3] [--out docs/charts]

An item of the data set takes 1 ms, and a batch has 4 of them. Measured is the time from a loader as the script has made
it to the first batch behind so many others. survivor's and torchdata's positions are written by hand, not by consuming;
what fetches everything again is measured for few batches and multiplied, and marked with ~. The second table is what
survivor's tracking adds to each batch of a job, and how large a position is.
"""

from __future__ import annotations

import copy
import pickle
import random
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from measure import Result, Table, apart, has, median, options, publish, seconds, spread, turns
from torch.utils.data import DataLoader, Dataset

from survivor.state import loaders
from survivor.state.loaders.worker import Carrier

BATCH = 4
KINDS: dict[str, dict[str, Any]] = {
    "sequential": {},
    "shuffled": {"shuffle": True},
    "shuffled, 2 workers": {"shuffle": True, "num_workers": 2},
}


class Slow(Dataset[int]):
    """Items that take a millisecond; those that are skipped should never be asked for."""

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


def survivor_s(count: int, **kind: Any) -> float:
    """survivor: the iterator's position after ``count`` batches is put into a new iterator."""
    loaders.install()
    loader = DataLoader(Slow((count + 100) * BATCH), batch_size=BATCH, **kind)
    torch.manual_seed(1)
    it = iter(loader)
    if kind.get("num_workers"):
        ahead = it._prefetch_factor * it._num_workers  # type: ignore[attr-defined]
    else:
        it._next_index()  # type: ignore[attr-defined]
        ahead = 0
    state = loaders.capture(it)
    state["consumed"] = state["yielded"] = count
    state["stream"].update(drawn=count + ahead, last=None)
    begin = time.perf_counter()
    loaders.deferring = True
    fresh = iter(loader)
    loaders.deferring = False
    loaders.reposition(fresh, state)
    next(fresh)
    return time.perf_counter() - begin


def accelerate_s(count: int, **kind: Any) -> float:
    """Accelerate: ``skip_first_batches``."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    loader = accelerator.prepare(DataLoader(Slow((count + 100) * BATCH), batch_size=BATCH, **kind))
    return seconds(lambda: next(iter(accelerator.skip_first_batches(loader, count))))


def torchdata_s(count: int, **kind: Any) -> float:
    """torchdata, and Lightning with its loader: ``StatefulDataLoader.load_state_dict``."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    def make() -> Any:
        return StatefulDataLoader(Slow((count + 100) * BATCH), batch_size=BATCH, **kind)

    first = make()
    it = iter(first)
    for _ in range(2):
        next(it)
    state = _moved(copy.deepcopy(first.state_dict()), count)
    fresh = make()

    def stand() -> None:
        fresh.load_state_dict(state)
        next(iter(fresh))

    return seconds(stand)


def _moved(state: Any, count: int) -> Any:
    """A state of torchdata's loader with ``count`` batches behind it, whatever it had."""
    numbers = {
        "_num_yielded": 1,
        "_sampler_iter_yielded": 1,
        "_snapshot_step": 1,
        "samples_yielded": BATCH,
        "yielded": BATCH,
    }
    if isinstance(state, dict):
        return {k: numbers[k] * count if k in numbers else _moved(v, count) for k, v in state.items()}
    return state


def again_s(count: int, **kind: Any) -> float:
    """By hand: ``for i, batch in enumerate(loader): if i < start: continue``."""
    it = iter(DataLoader(Slow((count + 100) * BATCH), batch_size=BATCH, **kind))

    def consume() -> None:
        for _ in range(count + 1):
            next(it)

    return seconds(consume)


def skipping(counts: list[int], rounds: int) -> tuple[Table, dict[str, list[list[float]]]]:
    """The first table, and the lines of the chart (shuffled, no workers)."""
    ways: dict[str, Callable[..., float]] = {"survivor": survivor_s}
    if has("accelerate"):
        ways["Accelerate, skip_first_batches"] = accelerate_s
    if has("torchdata"):
        ways["torchdata StatefulDataLoader"] = torchdata_s
    rows, lines = [], {name: [] for name in (*ways, "fetched again")}
    for label, kind in KINDS.items():
        for count in counts:
            found = turns(rounds, {name: partial(apart, way, count, **kind) for name, way in ways.items()})
            few = min(count, 200)
            again = apart(again_s, few, **kind) * count / few
            rows.append([label, f"{count:,}", *(spread(values, ".3f") for values in found.values()), f"~{again:,.0f}"])
            if label == "shuffled":
                for name, values in (*found.items(), ("fetched again", [again])):
                    lines[name].append([count, median(values)])
    return Table(["loader", "batches skipped", *(f"{name}, s" for name in ways), "fetched again, s"], rows), lines


def batch_us(count: int, draws: str, tracked: bool, **kind: Any) -> float:
    """Microseconds a batch over an epoch, the start of the workers left out."""
    if tracked:
        loaders.install()
    it = iter(DataLoader(Quick(count * BATCH, draws), batch_size=BATCH, shuffle=True, **kind))
    for _ in range(20):
        next(it)
    begin = time.perf_counter()
    for _ in it:
        pass
    return (time.perf_counter() - begin) / (count - 20) * 1e6


def tracking(count: int, rounds: int) -> Table:
    """The second table."""
    rows = []
    for label, kind in {"no workers": {"num_workers": 0}, "2 workers": {"num_workers": 2}}.items():
        for work, draws in {"nothing": "", "python, numpy, torch": "python numpy torch"}.items():
            found = turns(
                rounds,
                {
                    "plain": partial(apart, batch_us, count, draws, False, **kind),
                    "tracked": partial(apart, batch_us, count, draws, True, **kind),
                },
            )
            cells = [f"{min(values):.0f}" for values in found.values()]
            rows.append([label, work, *cells, f"{apart(size_kb, draws, kind):.0f}"])
    return Table(
        ["loader", "items draw from", "plain, us a batch", "tracked, us", "position, kB"], rows, "What tracking costs"
    )


def worker_read_us(draws: str) -> float:
    """Microseconds that a worker spends on a batch's states, drawing of the one item included."""
    data = Quick(1, draws)
    carrier = Carrier(0, {"dataset": data, "collate_fn": None, "init_fn": None})
    carrier.begin()
    begin = time.perf_counter()
    for _ in range(1000):
        data[0]
        carrier.delta()
    return (time.perf_counter() - begin) * 1000


def size_kb(draws: str, kind: dict[str, Any]) -> float:
    """Kilobytes that a captured position takes."""
    loaders.install()
    it = iter(DataLoader(Quick(400, draws), batch_size=BATCH, shuffle=True, **kind))
    for _ in range(10):
        next(it)
    return len(pickle.dumps(loaders.capture(it))) / 1000


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=3, largest=1_000_000)
    if args.small:
        args.rounds, args.largest = 1, 1000
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    counts = [count for count in (1_000, 100_000, 1_000_000) if count <= args.largest]
    table, lines = skipping(counts, args.rounds)
    second = tracking(200 if args.small else 2000, args.rounds)
    still, moved = (
        min(apart(worker_read_us, draws) for _ in range(args.rounds)) for draws in ("", "python numpy torch")
    )
    notes = [
        f"A worker spends {still:.0f} us a batch on seeing that no generator has moved, {moved:.0f} us where all three "
        "have. Lightning takes a loader's own state where it has one, as torchdata's does; with an ordinary loader it "
        "begins the epoch's data anew."
    ]
    panel = {"label": "shuffled loader", "x": "batches skipped", "lines": lines}
    chart = {"kind": "lines", "title": "Seconds until the first batch after a resume", "panels": [panel]}
    publish(Result("loader_skip", [table, second], chart, notes), args.out)


if __name__ == "__main__":
    main()
