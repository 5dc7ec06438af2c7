"""The hooks in torch that keep the books, and iterators whose workers have yet to start.

The classes stay torch's own: their methods are wrapped, so that ``type(it)``, ``isinstance`` and the
user's subclasses are as they were.

Things that don't work: to substitute a class of ours (frameworks compare types); to count in the loop
around the iterator (``next(it)``, ``zip`` and generators that look ahead are not seen).

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
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling as torch_signals
from torch.utils.data._utils import worker as torch_worker

from survivor.shield import end_by_kill
from survivor.state.loaders import stateful, worker
from survivor.state.loaders.tracking import NAME, Base, Multi, Single, Tracker, attach, tracker_of

_installed_in: int | None = None


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
    stateful.install(_watch_single, lambda: os.getpid() == _installed_in)
    setattr(torch_worker, "_worker_loop", worker.worker_loop)  # noqa: B010 - mypy knows its exact signature


def _watch_single(iterator_class: type) -> None:
    _wrap(iterator_class, "__init__", _single_init)
    _wrap(iterator_class, "_next_data", _single_next_data)


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
        it.__dict__[NAME] = tracker
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


def _single_init(original: Any, it: Any, loader: Any, *state: Any) -> None:
    original(it, loader, *state)
    if any(state):  # a state of the script's own was loaded: which draws led there is not known
        it.__dict__.pop(NAME, None)
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
        end_by_kill(it._workers, functools.partial(_unwatch, weakref.ref(it)))


def _unwatch(reference: weakref.ref[Any]) -> None:
    """Take an iterator's workers off the list whose deaths torch reports as errors."""
    it = reference()
    if it is not None and it._worker_pids_set:
        it._worker_pids_set = False
        torch_signals._remove_worker_pids(id(it))  # type: ignore[attr-defined]


def defer(it: Any, loader: Any) -> None:
    """Do what an iterator with workers does when it is made, up to the start of the workers."""
    tracker = Tracker(loader)
    attach(it, tracker)
    hold(it, tracker)
    tracker.pristine = tracker.sampler_watch.read(everything=True)
    Base.__init__(it, loader)
    it._sampler_iter = iter(it._index_sampler)  # torch asks twice: here, and in _reset
    tracker.buffer.extend(draw_ahead(it, loader))


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
