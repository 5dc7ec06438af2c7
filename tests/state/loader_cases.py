"""Loaders of many kinds, and a small training loop that is run whole, with captures, and resumed.

Run as ``python loader_cases.py whole|watched|resumed FOLDER CASE…``; each case has 8 to 12 steps an epoch.
"""

from __future__ import annotations

import hashlib
import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)

MODULE_RNG = np.random.default_rng(77)


class Plain(Dataset):
    def __init__(self, n=30):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.tensor([i, i * i], dtype=torch.float64)


class Augmented(Plain):
    """Draws from the three global generators, now and then from one only."""

    def __getitem__(self, i):
        x = super().__getitem__(i)
        if i % 3 == 0:
            x = x + random.random()
        if i % 3 == 1:
            x = x + np.random.normal()
        return x + torch.randn(2) if i % 2 else x


class OwnGenerators(Plain):
    def __init__(self, n=30):
        super().__init__(n)
        self.np = np.random.default_rng(5)
        self.late = None
        self.transforms = [partial(shift, np.random.RandomState(3)), closure(random.Random(4))]
        self.torch = torch.Generator().manual_seed(6)
        self.calls = 0

    def __getitem__(self, i):
        if self.late is None:
            info = get_worker_info()
            self.late = np.random.default_rng(100 + (info.id if info else 0))
        self.calls += 1
        x = super().__getitem__(i) + self.np.random() + self.late.random() + self.calls
        for transform in self.transforms:
            x = transform(x)
        return x + torch.rand(2, generator=self.torch) + MODULE_RNG.random()


def shift(generator, x):
    return x + generator.rand()


def closure(generator):
    return lambda x: x * generator.random()


class Stream(IterableDataset):
    """Sharded by worker; shuffles through a buffer, so that its draws matter later."""

    def __init__(self, n=41):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        shard, shards = (info.id, info.num_workers) if info else (0, 1)
        buffer = []
        for i in range(shard, self.n - 7 * shard, shards):
            buffer.append(i)
            if len(buffer) > 5:
                yield torch.tensor([buffer.pop(random.randrange(len(buffer))) + torch.rand(()).item()])
        yield from (torch.tensor([float(i)]) for i in buffer)


class StatefulStream(IterableDataset):
    def __init__(self, n=41):
        self.n = n
        self.at = 0

    def __iter__(self):
        info = get_worker_info()
        shard, shards = (info.id, info.num_workers) if info else (0, 1)
        while self.at * shards + shard < self.n - 7 * shard:
            self.at += 1
            yield torch.tensor([(self.at - 1) * shards + shard + random.random()])
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


class Habits(Sampler):
    """Counts its epochs, shuffles its own list in place, has a generator, and remembers."""

    def __init__(self, n=30):
        self.order = list(range(n))
        self.table = list(range(1000))
        self.epoch = 0
        self.rng = np.random.default_rng(1)
        self.seen = {"first": []}
        self.weights = torch.zeros(4)

    def __iter__(self):
        self.epoch += 1
        random.shuffle(self.order)
        self.rng.shuffle(self.table)
        self.seen["first"].append(self.order[0])
        self.weights += 1
        return iter([(i + self.table[3] + self.epoch + int(self.weights[0])) % 30 for i in self.order])

    def __len__(self):
        return len(self.order)


class Restless(Sampler):
    """Draws from global generators at every index, between the training's own draws."""

    def __iter__(self):
        walk = 0
        for _ in range(30):
            walk += random.randrange(30) + int(torch.randint(30, ()))
            yield walk % 30

    def __len__(self):
        return 30


class Endless(Sampler):
    def __iter__(self):
        n = 10**10
        for i in range(n):
            if i > 35:
                return
            yield (i * 7) % 30

    def __len__(self):
        return 10**10


def collate(items):
    return {"x": torch.stack(items), "noise": random.random() + np.random.rand()}


def seed_worker(worker):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed + worker)
    random.seed(seed * 3)


class Case:
    def __init__(self, make: Callable[[], list[Any]], *, epochs: int = 2, early: int | None = None) -> None:
        self.make = make
        self.epochs = epochs
        self.early = early  # break out of every epoch after so many steps


def one(dataset=Augmented, **options):
    def make():
        built = {key: value() if key in MADE else value for key, value in options.items()}
        return [DataLoader(dataset(), **{"batch_size": 3, **built})]

    return make


MADE = {"sampler", "batch_sampler", "generator"}


def seeded():
    return torch.Generator().manual_seed(11)


def split():
    part, rest = random_split(Augmented(), [20, 10])
    return [DataLoader(ConcatDataset([rest, Subset(part, range(15))]), batch_size=2, shuffle=True)]


def split_in_workers():
    part, rest = random_split(OwnGenerators(), [20, 10])
    data = ConcatDataset([rest, Subset(part, range(15))])
    return [DataLoader(data, batch_size=2, shuffle=True, num_workers=2)]


def distributed(workers=0):
    data = Augmented()
    sampler = DistributedSampler(data, num_replicas=2, rank=1)
    return [DataLoader(data, batch_size=2, sampler=sampler, num_workers=workers)]


def shared_generator(workers=0):
    g = seeded()
    options = {"generator": g, "shuffle": True, "num_workers": workers}
    sampler = RandomSampler(range(30), replacement=True, num_samples=90, generator=g)
    first = DataLoader(Augmented(), batch_size=8, sampler=sampler, generator=g)
    return [first, DataLoader(Augmented(), batch_size=3, **options)]


def twice(workers=0):
    loader = DataLoader(Augmented(), batch_size=3, shuffle=True, num_workers=workers)
    return [loader, loader]


def mixed():
    return [
        DataLoader(Augmented(), batch_size=3, shuffle=True, num_workers=2),
        DataLoader(OwnGenerators(), batch_size=3, sampler=Restless()),
        DataLoader(Augmented(), batch_size=2, shuffle=True, num_workers=1, persistent_workers=True),
    ]


def batches():
    return BatchSampler(RandomSampler(range(30)), 4, drop_last=True)


CASES = {
    "sequential": Case(one(Plain)),
    "shuffled": Case(one(shuffle=True)),
    "drop_last": Case(one(shuffle=True, batch_size=4, drop_last=True)),
    "unbatched": Case(one(shuffle=True, batch_size=None), epochs=1),
    "batch_sampler": Case(one(batch_size=1, batch_sampler=batches)),
    "lists": Case(lambda: [DataLoader(list(range(20)), batch_sampler=[[1, 2], [3], [4, 5, 6], [7]])]),
    "weighted": Case(one(sampler=lambda: WeightedRandomSampler(torch.rand(30).tolist(), 33))),
    "subset": Case(one(sampler=lambda: SubsetRandomSampler(range(3, 29), generator=seeded()))),
    "replacement": Case(one(sampler=lambda: RandomSampler(range(30), replacement=True, num_samples=100), batch_size=9)),
    "generator": Case(one(shuffle=True, generator=seeded)),
    "oversampled": Case(
        one(sampler=lambda: RandomSampler(range(30), num_samples=75, generator=seeded()), batch_size=8)
    ),
    "shared_generator": Case(shared_generator),
    "distributed": Case(distributed),
    "habits": Case(one(sampler=Habits)),
    "restless": Case(one(sampler=Restless)),
    "endless": Case(one(sampler=Endless)),
    "collate": Case(one(shuffle=True, collate_fn=collate)),
    "split": Case(split),
    "own_generators": Case(one(OwnGenerators, shuffle=True)),
    "twice": Case(twice),
    "early": Case(one(shuffle=True), early=4, epochs=3),
    "iterable": Case(one(Stream)),
    "stateful_iterable": Case(one(StatefulStream)),
    # with workers
    "workers_1": Case(one(shuffle=True, num_workers=1)),
    "workers_2": Case(one(shuffle=True, num_workers=2)),
    "workers_4": Case(one(shuffle=True, num_workers=4, batch_size=2), epochs=1),
    "workers_many": Case(one(shuffle=True, num_workers=4, batch_size=14), epochs=2),
    "workers_plain": Case(one(Plain, num_workers=2)),
    "workers_unbatched": Case(one(shuffle=True, batch_size=None, num_workers=2), epochs=1),
    "workers_prefetch": Case(one(shuffle=True, num_workers=2, prefetch_factor=5)),
    "workers_pinned": Case(one(shuffle=True, num_workers=2, pin_memory=True)),
    "workers_init": Case(one(num_workers=2, worker_init_fn=seed_worker)),
    "workers_generator": Case(one(shuffle=True, num_workers=2, generator=seeded)),
    "workers_oversampled": Case(
        one(
            sampler=lambda: RandomSampler(range(30), num_samples=75, generator=seeded()),
            batch_size=8,
            num_workers=2,
        )
    ),
    "workers_habits": Case(one(sampler=Habits, num_workers=2)),
    "workers_restless": Case(one(sampler=Restless, num_workers=2)),
    "workers_own": Case(one(OwnGenerators, shuffle=True, num_workers=2)),
    "workers_split": Case(split_in_workers),
    "workers_collate": Case(one(shuffle=True, num_workers=2, collate_fn=collate)),
    "workers_distributed": Case(partial(distributed, 2)),
    "workers_shared_generator": Case(partial(shared_generator, 2)),
    "workers_twice": Case(partial(twice, 1)),
    "workers_mixed": Case(mixed),
    "workers_early": Case(one(shuffle=True, num_workers=2), early=4, epochs=3),
    "persistent": Case(one(shuffle=True, num_workers=2, persistent_workers=True), epochs=3),
    "persistent_own": Case(one(OwnGenerators, num_workers=2, persistent_workers=True), epochs=2),
    "persistent_early": Case(one(shuffle=True, num_workers=2, persistent_workers=True), early=4, epochs=3),
    "persistent_habits": Case(one(sampler=Habits, num_workers=2, persistent_workers=True)),
    "persistent_generator": Case(one(shuffle=True, generator=seeded, num_workers=2, persistent_workers=True)),
    "workers_iterable": Case(one(Stream, num_workers=3)),
    "workers_stateful": Case(one(StatefulStream, num_workers=3)),
    "persistent_iterable": Case(one(Stream, num_workers=2, persistent_workers=True)),
    "persistent_stateful": Case(one(StatefulStream, num_workers=2, persistent_workers=True)),
    "spawn": Case(one(shuffle=True, num_workers=2, multiprocessing_context="spawn"), epochs=1),
    "forkserver": Case(
        one(shuffle=True, num_workers=1, multiprocessing_context="forkserver", collate_fn=collate), epochs=1
    ),
}


#: Those with workers that are killed at all the points; the others at some.
THOROUGH = ("workers_2", "persistent", "workers_mixed", "workers_iterable", "workers_stateful")


def plain(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.numpy().tobytes()
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, list):
        return [plain(item) for item in batch]
    return batch


def digest(value: Any) -> str:
    return hashlib.sha1(repr(plain(value)).encode()).hexdigest()[:12]


def rng() -> Any:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_rng(states: Any) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def rng_digest() -> str:
    states = rng()
    return digest([states[0], states[1][1].tobytes(), states[1][2:], states[2]])


def seed_all() -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    MODULE_RNG.bit_generator.state = np.random.default_rng(77).bit_generator.state


def train_step(step: int) -> None:
    torch.rand(step % 4)
    if step % 3 == 0:
        random.random()
        np.random.normal()


def begin_epoch(loaders: list[Any], epoch: int) -> None:
    for loader in loaders:
        if isinstance(loader.sampler, DistributedSampler):
            loader.sampler.set_epoch(epoch)


def steps(its: list[Any], case: Case, first: int, *, capture: Callable[[int], None] = lambda step: None) -> Any:
    """Digests of the steps of one epoch from ``first`` on."""
    digests = []
    step = first
    while True:
        capture(step)
        try:
            batch = [next(it) for it in its]
        except StopIteration:
            break
        digests.append(digest(batch))
        train_step(step)
        step += 1
        if step == case.early:
            break
    return digests


def run(case: Case, capture: Callable[[list[Any], int, int], None] | None = None) -> list[str]:
    seed_all()
    loaders = case.make()
    digests = []
    for epoch in range(case.epochs):
        begin_epoch(loaders, epoch)
        its = [iter(loader) for loader in loaders]
        note = (lambda step, its=its, epoch=epoch: capture(its, epoch, step)) if capture else (lambda step: None)
        digests += steps(its, case, 0, capture=note)
        note(-1)
    return [*digests, rng_digest()]


def watched(case: Case) -> tuple[list[str], dict[Any, Any]]:
    """A run with a capture at every step, and after each epoch's end (step -1)."""
    from survivor.state import loaders

    points: dict[Any, Any] = {}

    def capture(its: list[Any], epoch: int, step: int) -> None:
        before = rng()
        points[epoch, step] = [loaders.capture(it) for it in its], before, MODULE_RNG.bit_generator.state
        assert digest(str(before)) == digest(str(rng()))

    return run(case, capture), points


def resumed(case: Case, point: tuple[int, int], saved: Any, *, deferring: bool, stop: int | None = None) -> Any:
    """What a fresh process does from that point to the end, or what it saves at step ``stop``."""
    from survivor.state import loaders

    epoch, step = point
    states, main_rng, module_rng = saved
    seed_all()
    made = case.make()
    digests = []
    if step >= 0:
        begin_epoch(made, epoch)
        loaders.deferring = deferring
        its = [iter(loader) for loader in made]
        loaders.deferring = False
        for it, state in zip(its, states, strict=True):
            loaders.reposition(it, state)
    else:
        its = [loaders.remake(loader, state) for loader, state in zip(made, states, strict=True)]
        assert not states[0]["exhausted"] or next(its[0], None) is None
    MODULE_RNG.bit_generator.state = module_rng
    set_rng(main_rng)
    if stop is not None:
        for number in range(step, stop):
            for it in its:
                next(it)
            train_step(number)
        return [loaders.capture(it) for it in its], rng(), MODULE_RNG.bit_generator.state
    if step >= 0:
        digests += steps(its, case, step)
    for later in range(epoch + 1, case.epochs):
        begin_epoch(made, later)
        its = [iter(loader) for loader in made]
        digests += steps(its, case, 0)
    return [*digests, rng_digest()]


def chosen(points: dict[Any, Any], name: str) -> list[Any]:
    """Kill points: the first two, the middle, the last, after the last, and after the end, of first and last epoch."""
    epochs = sorted({epoch for epoch, _ in points})
    counts = {e: max(step for epoch, step in points if epoch == e) for e in epochs}
    first, last = epochs[0], epochs[-1]
    picked = [(e, step) for e in (first, last) for step in (0, 1, counts[e] // 2, counts[e] - 1, counts[e], -1)]
    if name in ("spawn", "forkserver"):  # starting their workers takes seconds
        picked = [(first, counts[first] // 2)]
    elif ("workers" in name or "persistent" in name) and name not in THOROUGH:
        picked = [(first, 1), (first, -1), (last, 0), (last, counts[last] // 2), (last, counts[last])]
    return [point for point in dict.fromkeys(picked) if point in points]


def attempt(work: Callable[[], Any]) -> Any:
    """The result of ``work``, or the traceback of its error."""
    try:
        return work()
    except Exception:
        return traceback.format_exc()


def killed_again(case: Case, points: dict[Any, Any]) -> list[str]:
    """Saved in the middle of the last epoch by a process that was itself resumed there."""
    epoch = max(epoch for epoch, _ in points)
    stop = max(1, max(step for e, step in points if e == epoch) // 2)
    saved = resumed(case, (epoch, stop - 1), points[epoch, stop - 1], deferring=True, stop=stop)
    return resumed(case, (epoch, stop), saved, deferring=True)


def main(mode: str, folder: Path, names: list[str]) -> None:
    from survivor.state import loaders

    if mode != "whole":
        loaders.install()
    for name in names:
        case = CASES[name]
        if mode == "whole":
            result: Any = attempt(lambda case=case: run(case))
        elif mode == "watched":
            result = attempt(lambda case=case: watched(case))
        else:
            points = torch.load(folder / f"{name}.watched", weights_only=False)[1]
            result = {}
            for number, point in enumerate(chosen(points, name)):
                work = partial(resumed, case, point, points[point], deferring=number % 2 == 0 or "habits" in name)
                result[point] = attempt(work)
            if len(result) > 1:
                result["killed again"] = attempt(lambda case=case, points=points: killed_again(case, points))
        torch.save(result, folder / f"{name}.{mode}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
