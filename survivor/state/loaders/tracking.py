"""The books of every live loader iterator: an attribute of the iterator itself.

Rejected: a strong reference from iterator to loader. With persistent workers it is a cycle, and the
workers outlive the loader until the garbage collector comes by.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data import dataloader as torch_loader

from survivor.errors import NotResumableError
from survivor.state.loaders import stateful, streams, worker
from survivor.state.loaders.objects import Watch

Base = torch_loader._BaseDataLoaderIter
Single = torch_loader._SingleProcessDataLoaderIter
Multi = torch_loader._MultiProcessingDataLoaderIter
NAME = "_survivor"
#: Sampler and data set as they were when first seen; shared by all iterators of a loader.
_watches: weakref.WeakKeyDictionary[DataLoader[Any], tuple[Watch, Watch]] = weakref.WeakKeyDictionary()


def _tell_nobody(path: str) -> None:
    """Nobody is there to be told."""


#: Hears of a container of a data set that has grown in a loader worker, by its path; nobody can bring it back.
told: Callable[[str], None] = _tell_nobody


class WorkerStates:
    """The generators' states in each worker, as of its last batch that arrived, and that was consumed."""

    def __init__(self, count: int) -> None:
        self.arrived: list[dict[Any, Any]] = [{} for _ in range(count)]
        self.consumed: list[dict[Any, Any]] = list(self.arrived)
        self.last: int | None = None
        self._tasks: dict[int, tuple[int, dict[Any, Any]]] = {}

    def arrive(self, task: worker.Task) -> None:
        """A batch has come from its worker, perhaps before its turn."""
        if "grown" in task.delta:
            told(str(task.delta["grown"]))
        if task.delta:
            self.arrived[task.worker] = {**self.arrived[task.worker], **task.delta}
        self._tasks[int(task)] = (task.worker, self.arrived[task.worker])

    def consume(self, number: int) -> None:
        """The batch goes to the training; no effect if it has gone before."""
        task = self._tasks.pop(number, None)
        if task is not None:
            self.last, self.consumed[task[0]] = task

    def reset(self) -> None:
        """A new epoch of the same workers: what they prepared for nothing has moved their generators too."""
        self.arrived = [{**state, "ended": False} if state else state for state in self.arrived]
        self.consumed = [{**state, "fresh": True} if state else state for state in self.arrived]
        self._tasks.clear()
        self.last = None


class Tracker:
    """The bookkeeping of one iterator.

    Attributes:
        stream: the draws of its sampler.
        fetches: without workers, the fetches from an iterable data set that must be replayed.
        workers: states in the worker processes.
        made: data set's state when the iterator was made, that is, when workers are forked.
        began: sampler's state when the iterator was made or reset.
        pristine: all of it, of a deferred iterator: what to go back to before it is repositioned.
        skipped: batches that were consumed before this object was repositioned.
        history: of earlier epochs of the same workers, how many batches were consumed, and whether all.
        buffer: indices that were drawn for workers that have not been started.
        first_worker: who gets the first of them.
        resume: messages for the workers, once they start.
        seeds: base seed and shared seed to be used instead of new ones.
        starting: torch's ``__init__`` runs for the second time, to start the workers.
    """

    def __init__(self, loader: DataLoader[Any], earlier: Tracker | None = None) -> None:
        if earlier is None:
            self._loader = weakref.ref(loader)
            self._clone = object.__new__(type(loader))
            self._clone.__dict__.update(loader.__dict__, _iterator=None)
            self.sampler_watch, self.dataset_watch = _watched(loader)
        else:
            self._loader, self._clone = earlier._loader, earlier._clone
            self.sampler_watch, self.dataset_watch = earlier.sampler_watch, earlier.dataset_watch
        sampler = loader._index_sampler
        self.stream = streams.Stream(self.sampler_watch.generators(), quiet=streams.is_quiet(sampler))
        self.fetches = streams.Stream({}, quiet=False)
        self.workers = WorkerStates(loader.num_workers)
        self.made: list[Any] = []
        self.began: list[Any] = []
        self.pristine: list[Any] = []
        self.exhausted = False
        self.epoch = 0
        self.skipped = 0
        self.history: list[tuple[int, bool]] = []
        self.buffer: deque[Any] = deque()
        self.first_worker = 0
        self.resume: list[dict[Any, Any]] = []
        self.seeds: tuple[int, int | None] | None = None
        self.deferred = False
        self.starting = False

    def live_loader(self) -> DataLoader[Any] | None:
        """The loader, if the script still has it."""
        return self._loader()

    def loader(self) -> DataLoader[Any]:
        """The loader, or what it was made of."""
        loader = self._loader()
        return self._clone if loader is None else loader

    def is_iterable(self) -> bool:
        """Whether the data set is an iterable one."""
        kind = self._clone._dataset_kind
        return bool(kind == torch_loader._DatasetKind.Iterable)

    def must_replay(self) -> bool:
        """Whether batches must be fetched again to come to a position: iterable, and keeps no state."""
        return self.is_iterable() and not worker.has_protocol(self._clone.dataset)

    def begin(self) -> None:
        """The iterator is made or reset now."""
        self.began = self.sampler_watch.read()
        self.stream.begin()
        self.fetches.begin()
        self.exhausted, self.skipped = False, 0


def _watched(loader: DataLoader[Any]) -> tuple[Watch, Watch]:
    watches = _watches.get(loader)
    if watches is None:
        below = {name: getattr(loader, name) for name in ("batch_sampler", "sampler", "generator")}
        watches = (
            Watch(below, skip=(loader.dataset,), plain=True),
            Watch({"dataset": loader.dataset, "collate_fn": loader.collate_fn}, numbers=True),
        )
        _watches[loader] = watches
    return watches


def tracker_of(it: Any) -> Tracker | None:
    """The bookkeeping of an iterator; ``None`` if it was not made under our eyes."""
    found = getattr(it, "__dict__", {}).get(NAME)
    return found if isinstance(found, Tracker) else None


def known(it: Any) -> Tracker:
    """The same, for those that can be repositioned.

    Raises:
        NotResumableError: it is of a class that we don't know, or was made before `install`.
    """
    tracker = tracker_of(it)
    if tracker is None or not (isinstance(it, (Single, Multi)) or stateful.is_single(it)):
        raise NotResumableError(
            f"the position of an iterator of class {type(it).__name__} can't be saved: it was not made by a "
            "torch DataLoader under survivor",
            advice="iterate over a torch.utils.data.DataLoader, or wrap the iterable in survivor.loop",
        )
    if isinstance(it, Multi) and not getattr(tracker.loader(), "in_order", True):
        raise NotResumableError(
            "a DataLoader with in_order=False gives its batches in another order each time it runs",
            advice="make the DataLoader with in_order=True",
        )
    return tracker


def attach(it: Any, tracker: Tracker) -> None:
    """Make ``tracker`` the iterator's bookkeeping, and forget all else that the iterator was."""
    it.__dict__.clear()
    it.__dict__[NAME] = tracker
