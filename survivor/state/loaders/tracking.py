"""What is known of every live loader iterator, and the hooks in torch that keep it up to date.

The classes stay torch's own: their methods are wrapped, and the bookkeeping is an attribute of the
iterator, so that ``type(it)``, ``isinstance`` and the user's subclasses are as they were.

Things that don't work: to substitute a class of ours (frameworks compare types); to count in the loop
around the iterator (``next(it)``, ``zip`` and generators that look ahead are not seen); a strong
reference from iterator to loader (with persistent workers it is a cycle, and workers outlive the loader
until the garbage collector comes by).

A *deferred* iterator has drawn what it draws when it is made, and has not started its workers yet: a
script that is re-executed makes iterators only to have them repositioned, and starting a process for
each of them is dear.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data import dataloader as torch_loader
from torch.utils.data._utils import worker as torch_worker

from survivor.errors import NotResumableError
from survivor.state.loaders import streams, worker
from survivor.state.loaders.objects import Watch

Base = torch_loader._BaseDataLoaderIter
Single = torch_loader._SingleProcessDataLoaderIter
Multi = torch_loader._MultiProcessingDataLoaderIter
_NAME = "_survivor"
_installed_in: int | None = None
#: Sampler and data set as they were when first seen; shared by all iterators of a loader.
_watches: weakref.WeakKeyDictionary[DataLoader[Any], tuple[Watch, Watch]] = weakref.WeakKeyDictionary()


class WorkerStates:
    """The generators' states in each worker, as of its last batch that arrived, and that was consumed."""

    def __init__(self, count: int) -> None:
        self.arrived: list[dict[Any, Any]] = [{} for _ in range(count)]
        self.consumed: list[dict[Any, Any]] = list(self.arrived)
        self.last: int | None = None
        self._tasks: dict[int, tuple[int, dict[Any, Any]]] = {}

    def arrive(self, task: worker.Task) -> None:
        """A batch has come from its worker, perhaps before its turn."""
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
        self.consumed = list(self.arrived)
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
        sampler = loader._index_sampler  # type: ignore[attr-defined]
        self.stream = streams.Stream(self.sampler_watch.generators(), quiet=streams.is_quiet(sampler))
        self.fetches = streams.Stream({}, quiet=False)
        self.workers = WorkerStates(loader.num_workers)
        self.made: list[Any] = []
        self.began: list[Any] = []
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
        kind = self._clone._dataset_kind  # type: ignore[attr-defined]
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
    found = getattr(it, "__dict__", {}).get(_NAME)
    return found if isinstance(found, Tracker) else None


def known(it: Any) -> Tracker:
    """The same, for those that can be repositioned.

    Raises:
        NotResumableError: it is of a class that we don't know, or was made before `install`.
    """
    tracker = tracker_of(it)
    if tracker is None or not isinstance(it, (Single, Multi)):
        raise NotResumableError(
            f"the position of an iterator of class {type(it).__name__} can't be saved: it was not made by a "
            "torch DataLoader under survivor",
            advice="iterate over a torch.utils.data.DataLoader, or wrap the iterable in survivor.loop",
        )
    if isinstance(it, Multi) and not getattr(tracker.loader(), "in_order", True):
        raise NotResumableError(
            "a DataLoader with in_order=False gives its batches in another order each time; no run of it can be repeated",
            advice="make the DataLoader with in_order=True",
        )
    return tracker


def attach(it: Any, tracker: Tracker) -> None:
    """Make ``tracker`` the iterator's bookkeeping, and forget all else that the iterator was."""
    it.__dict__.clear()
    it.__dict__[_NAME] = tracker


def install() -> None:
    """Track every DataLoader iterator that this process makes from now on; again without effect.

    Does nothing in loader workers and other child processes of multiprocessing.
    """
    global _installed_in  # noqa: PLW0603 - torch is patched once in a process, so this is the process's
    if _installed_in is not None or multiprocessing.parent_process() is not None:
        return
    _installed_in = os.getpid()
    _wrap(Base, "__init__", _base_init)
    _wrap(Base, "_reset", _base_reset)
    _wrap(Base, "_next_index", _next_index)
    _wrap(Single, "__init__", _single_init)
    _wrap(Single, "_next_data", _single_next_data)
    _wrap(Multi, "__init__", _multi_init)
    _wrap(Multi, "_reset", _multi_reset)
    _wrap(Multi, "_get_data", _get_data)
    _wrap(Multi, "_next_data", _multi_next_data)
    torch_worker._worker_loop = worker.worker_loop


def _wrap(owner: type, name: str, hook: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return hook(original, self, *arguments, **named)

    setattr(owner, name, method)


def _deferring() -> bool:
    from survivor.state import loaders

    return loaders.deferring


def _base_init(original: Any, it: Any, loader: Any) -> None:
    tracker = tracker_of(it)
    if tracker is None:
        if os.getpid() != _installed_in or not isinstance(loader, DataLoader):
            original(it, loader)
            return
        tracker = Tracker(loader)
        it.__dict__[_NAME] = tracker
    elif tracker.starting:
        return
    tracker.made = tracker.dataset_watch.read()
    tracker.begin()
    original(it, loader)
    if tracker.seeds is not None:
        it._base_seed, it._shared_seed = tracker.seeds


def _base_reset(original: Any, it: Any, loader: Any, first_iter: bool = False) -> None:
    tracker = tracker_of(it)
    if tracker is not None and tracker.starting:
        it._num_yielded = 0
        it._IterableDataset_len_called = loader._IterableDataset_len_called
        return
    if tracker is not None and not first_iter:
        tracker.begin()
        tracker.epoch += 1
    original(it, loader, first_iter)


def _next_index(original: Any, it: Any) -> Any:
    tracker = tracker_of(it)
    if tracker is None:
        return original(it)
    if not tracker.starting:
        return tracker.stream.draw(original, it)
    if tracker.first_worker:
        count = it._num_workers
        turns = [(tracker.first_worker + turn) % count for turn in range(count)]
        it._worker_queue_idx_cycle = itertools.cycle(turns)
        tracker.first_worker = 0
    if not tracker.buffer:
        raise StopIteration
    return tracker.buffer.popleft()


def _single_init(original: Any, it: Any, loader: Any) -> None:
    original(it, loader)
    tracker = tracker_of(it)
    if tracker is not None and tracker.must_replay():
        fetcher = it._dataset_fetcher
        fetcher.fetch = functools.partial(tracker.fetches.draw, fetcher.fetch)


def _single_next_data(original: Any, it: Any) -> Any:
    try:
        return original(it)
    except StopIteration:
        tracker = tracker_of(it)
        if tracker is not None:
            tracker.exhausted = True
        raise


def _multi_init(original: Any, it: Any, loader: Any) -> None:
    if tracker_of(it) is None and type(it) is Multi and os.getpid() == _installed_in and _deferring():
        defer(it, loader)
    else:
        original(it, loader)


def defer(it: Any, loader: Any) -> None:
    """Do what an iterator with workers does when it is made, up to the start of the workers."""
    Base.__init__(it, loader)
    it._sampler_iter = iter(it._index_sampler)  # torch asks twice: here, and in _reset
    tracker = known(it)
    indices = draw_ahead(it, loader)
    tracker.buffer.extend(indices)
    hold(it, tracker)


def draw_ahead(it: Any, loader: Any) -> list[Any]:
    """The indices that torch draws before the first batch is asked for."""
    indices = []
    for _ in range(loader.prefetch_factor * loader.num_workers):
        try:
            indices.append(it._next_index())
        except StopIteration:
            break
    return indices


def hold(it: Any, tracker: Tracker) -> None:
    """Leave an iterator without workers until it is asked for something."""
    it._shutdown = True  # what torch's __del__ looks at
    it._rcvd_idx = it._send_idx = 0
    it._task_info = {}
    it._workers = []
    tracker.deferred = True


def start(it: Any, tracker: Tracker) -> None:
    """Start the workers of a deferred iterator, and give them their states and first indices."""
    tracker.deferred, tracker.starting = False, True
    yielded = it._num_yielded
    try:
        type(it).__init__(it, tracker.loader())
    finally:
        tracker.starting = False
    it._num_yielded = yielded


def _multi_reset(original: Any, it: Any, loader: Any, first_iter: bool = False) -> None:
    tracker = tracker_of(it)
    if tracker is None:
        original(it, loader, first_iter)
        return
    if first_iter:
        iterate = tracker.is_iterable() and not tracker.exhausted
        for number, state in enumerate(tracker.resume):
            if state:
                it._index_queues[number].put(worker.Resume(state, iterate=iterate))
        tracker.resume = []
        original(it, loader, first_iter)
        return
    history = [*tracker.history, (it._num_yielded, tracker.exhausted)]
    if tracker.deferred:
        start(it, tracker)
    original(it, loader, first_iter)
    tracker.history = history
    tracker.workers.reset()


def _get_data(original: Any, it: Any) -> Any:
    result = original(it)
    tracker = tracker_of(it)
    if tracker is not None and type(result[0]) is worker.Task:
        tracker.workers.arrive(result[0])
    return result


def _multi_next_data(original: Any, it: Any) -> Any:
    tracker = tracker_of(it)
    if tracker is None:
        return original(it)
    if tracker.deferred and not tracker.exhausted:
        start(it, tracker)
    try:
        return original(it)
    except StopIteration:
        tracker.exhausted = True
        raise
    finally:
        tracker.workers.consume(it._rcvd_idx - 1)
