"""Where an iterator over a DataLoader stands, and how another one is brought there.

A position is the states at the making of the iterator, the log of its index stream, how far the stream
and the training have come, and the states in the workers. Bringing an iterator there costs O(indices):
its sampler is run again, nothing is fetched. Only an ``IterableDataset`` that keeps no state of its own
is consumed again for real, and `capture` says so (``"replay"``).
"""

from __future__ import annotations

import copy
from typing import Any

from torch.utils.data import DataLoader

from survivor.errors import DivergedError, NotResumableError
from survivor.state.loaders import stateful, worker
from survivor.state.loaders.hooks import draw_ahead, hold, start
from survivor.state.loaders.tracking import Base, Multi, Tracker, attach, known, tracker_of

_VERSION = 1


def owner(it: Any) -> DataLoader[Any] | None:
    """The loader that made an iterator, or its like if it is gone (``iter(DataLoader(…))``); ``None`` if not known."""
    tracker = tracker_of(it)
    return None if tracker is None else tracker.loader()


def capture(it: Any) -> dict[str, Any]:
    """The position of a live iterator, as plain data; the iterator is not disturbed.

    Some keys for the caller: ``consumed`` (batches), ``exhausted``, ``replay`` (repositioning fetches all
    of them again), ``exact`` (False: the sampler drew at too many indices to log, or holds an iterator)
    and ``not_carried`` (what a sampler keeps that is not carried).

    Raises:
        NotResumableError: an iterator of an unknown class, or of a loader with ``in_order=False``.
    """
    tracker = known(it)
    dataset = tracker.loader().dataset
    multi = isinstance(it, Multi)
    protocol = worker.has_protocol(dataset) and not multi
    now = tracker.sampler_watch.read()
    not_carried = sorted(set(tracker.sampler_watch.not_carried))
    # at the end of an epoch the next one begins where the workers stopped, not at their last batch
    states = tracker.workers.arrived if tracker.exhausted else tracker.workers.consumed
    return {
        "version": _VERSION,
        "workers": it._num_workers,
        "consumed": _consumed(it, tracker),
        "yielded": it._num_yielded,
        "exhausted": tracker.exhausted,
        "replay": tracker.must_replay(),
        "exact": not (tracker.stream.full or tracker.fetches.full),
        "not_carried": not_carried,
        "seeds": [it._base_seed, it._shared_seed],
        "epoch": tracker.epoch,
        "history": [list(entry) for entry in tracker.history],
        "stream": tracker.stream.saved(),
        "fetches": tracker.fetches.saved(),
        "sampler": [tracker.began, now],
        "dataset": [tracker.made, tracker.dataset_watch.read()],
        "state_dict": copy.deepcopy(dataset.state_dict()) if protocol else None,  # type: ignore[attr-defined]
        "fetcher_ended": not multi and bool(getattr(it._dataset_fetcher, "ended", False)),
        "last_worker": tracker.workers.last,
        "states": [_listed(state) for state in states],
    }


def _consumed(it: Any, tracker: Tracker) -> int:
    if tracker.is_iterable():
        return int(it._num_yielded)
    if isinstance(it, Multi):
        return tracker.skipped + int(it._rcvd_idx)
    return tracker.stream.drawn


def _listed(state: dict[Any, Any]) -> list[Any]:
    return [[list(name) if isinstance(name, tuple) else name, value] for name, value in state.items()]


def _merged(entries: list[Any]) -> dict[Any, Any]:
    return {name if isinstance(name, str) else tuple(name): value for name, value in entries}


def reposition(it: Any, state: dict[str, Any]) -> None:
    """Turn a new iterator, in place, into one that stands where ``state`` was captured.

    Disturbs the global generators; set them afterwards, as they were when ``state`` was captured.
    An iterator with workers should have been made with ``loaders.deferring`` set: otherwise its workers
    are started twice, and a large table that its sampler has shuffled in place meanwhile stays shuffled.

    Args:
        it: an iterator over a loader made as the captured one's was; nothing was taken from it.
        state: what `capture` gave.

    Raises:
        DivergedError: the loader is not what it was.
        NotResumableError: as for `capture`.
    """
    tracker = known(it)
    if it._num_workers != state["workers"]:
        raise DivergedError(
            f"a data loader had {state['workers']} workers when the job was saved, now {it._num_workers}",
            advice="run the job with the number of workers that it was started with",
        )
    loader = tracker.loader()
    multi = isinstance(it, Multi)
    if multi:
        it._shutdown_workers()
    fresh = Tracker(loader, tracker)
    fresh.seeds = (state["seeds"][0], state["seeds"][1])
    attach(it, fresh)
    if multi:
        hold(it, fresh)
    fresh.sampler_watch.write(tracker.pristine)
    _as_at_making(fresh, state)
    if state["replay"] and (multi or not state["exhausted"]):
        _replay(it, fresh, state)
    elif multi:
        _place_multi(it, fresh, state)
    else:
        _place_single(it, fresh, state)
    fresh.began, fresh.made = state["sampler"][0], state["dataset"][0]
    fresh.epoch = state["epoch"]
    fresh.sampler_watch.write(state["sampler"][1])
    fresh.dataset_watch.write(state["dataset"][1])


def _as_at_making(tracker: Tracker, state: dict[str, Any]) -> None:
    tracker.sampler_watch.write(state["sampler"][0])
    tracker.dataset_watch.write(state["dataset"][0])
    tracker.stream.set_states(state["stream"]["log"][0][1])


def _place_single(it: Any, tracker: Tracker, state: dict[str, Any]) -> None:
    loader = tracker.loader()
    if state["state_dict"] is not None:
        loader.dataset.load_state_dict(copy.deepcopy(state["state_dict"]))  # type: ignore[attr-defined]
    type(it).__init__(it, loader)
    if state["exhausted"]:
        _exhaust(it, tracker, state)
    elif not tracker.is_iterable():
        _advance(it, tracker, state)
    elif state["fetcher_ended"]:
        it._dataset_fetcher.ended = True
    it._num_yielded = state["yielded"]
    stateful.settle(it, tracker.stream.drawn, state["exhausted"])


def _place_multi(it: Any, tracker: Tracker, state: dict[str, Any]) -> None:
    loader = tracker.loader()
    Base.__init__(it, loader)
    tracker.workers.consumed = [_merged(entries) for entries in state["states"]]
    tracker.workers.arrived = list(tracker.workers.consumed)
    tracker.workers.last = state["last_worker"]
    tracker.resume = tracker.workers.consumed
    tracker.history = [(count, ended) for count, ended in state["history"]]
    it._num_yielded = state["yielded"]
    if state["exhausted"]:
        _exhaust(it, tracker, state)  # its workers start when it is reset, if ever
        return
    if state["epoch"]:
        _as_at_making(tracker, state)  # rather: as at the reset
    it._sampler_iter = iter(it._index_sampler)
    if tracker.is_iterable():
        last = state["last_worker"]
        tracker.first_worker = 0 if last is None else (last + 1) % it._num_workers
        tracker.buffer.extend(draw_ahead(it, loader))
    else:
        tracker.skipped = state["consumed"]
        tracker.first_worker = state["consumed"] % it._num_workers
        tracker.buffer.extend(_advance(it, tracker, state))
    start(it, tracker)


def _advance(it: Any, tracker: Tracker, state: dict[str, Any]) -> list[Any]:
    saved = state["stream"]
    sampler = it._index_sampler
    if saved["drawn"] and it._sampler_iter is sampler and not hasattr(sampler, "__dict__"):
        raise NotResumableError(
            "the sampler of a data loader is itself a generator or an iterator, which can't be rewound",
            advice="give the DataLoader an object whose __iter__ makes the generator",
        )
    it._sampler_iter, ahead = tracker.stream.replay(sampler, it._sampler_iter, saved, state["consumed"])
    return ahead


def _exhaust(it: Any, tracker: Tracker, state: dict[str, Any]) -> None:
    it._sampler_iter = iter(())
    tracker.exhausted = True
    stream, saved = tracker.stream, state["stream"]
    stream.log, stream.drawn, stream.ended = saved["log"], saved["drawn"], True


def _replay(it: Any, tracker: Tracker, state: dict[str, Any]) -> None:
    if state["exhausted"] and not tracker.loader().persistent_workers:
        _place_multi(it, tracker, state)
        return
    tracker.deferred = False
    type(it).__init__(it, tracker.loader())
    log = {number: states for number, states in state["fetches"]["log"] if number >= 0}
    for count, ended in state["history"]:
        _consume(it, tracker, count, ended, {})
        it._reset(tracker.loader())
    _consume(it, tracker, state["yielded"], state["exhausted"], log)
    tracker.fetches.log = state["fetches"]["log"]
    it._num_yielded = state["yielded"]


def _consume(it: Any, tracker: Tracker, count: int, ended: bool, log: dict[int, Any]) -> None:
    for number in range(count + ended):
        tracker.fetches.set_states(log.get(number, {}))
        try:
            it._next_data()
        except StopIteration:
            if number < count:
                raise DivergedError(
                    f"a data loader gave {count} batches before the job was saved, and {number} now",
                    advice="run the job with the data set and the settings that it was started with",
                ) from None
    it._num_yielded = count


def remake(loader: DataLoader[Any], state: dict[str, Any]) -> Any:
    """A new iterator over ``loader`` that stands where ``state`` was captured.

    With persistent workers it becomes the loader's own, which ``iter(loader)`` uses again.

    Raises:
        DivergedError, NotResumableError: as for `reposition`.
    """
    from survivor.state import loaders

    if not isinstance(loader, DataLoader):
        raise NotResumableError(
            "an iterator over a DataLoader was saved, and its loader can't be made again",
            advice="keep the DataLoader in a variable beside its iterator",
        )
    before, loaders.deferring = loaders.deferring, True
    try:
        it = loader._get_iterator()
    finally:
        loaders.deferring = before
    reposition(it, state)
    if loader.persistent_workers and loader.num_workers:
        loader._iterator = it
    return it
