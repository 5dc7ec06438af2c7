"""The part of a loader that runs in its worker processes: random number generators travel with the batches.

`worker_loop` stands in for torch's function of that purpose and calls it, with both queues wrapped:

- what the worker sends back is numbered with a `Task`, an int that carries the generators' states after
  the batch, as far as they changed since the batch before. The batch itself is not touched, so neither
  ``pin_memory`` nor torch's own checks see a difference;
- the first message to a worker that resumes is `Resume`: the states of its last *consumed* batch. It is
  handled here, after the user's ``worker_init_fn``, which has run by then.

Rejected: to wrap ``collate_fn`` (the batch's type changes under ``pin_memory``, and a loader without
batching would need another way) and to pass states through ``worker_init_fn`` (a closure can't be
pickled for ``spawn``; an ``IterableDataset`` is asked for its iterator after it only by accident).
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

from torch.utils.data import _DatasetKind
from torch.utils.data._utils import worker as torch_worker

from survivor.shield import shield_worker
from survivor.state.loaders import rngs
from survivor.state.loaders.objects import Watch
from survivor.state.loaders.walking import module_generators, sized

#: torch's own loop, kept from before `survivor.state.loaders.install` puts ours in its place.
original_loop = torch_worker._worker_loop
_ResumeIteration = torch_worker._ResumeIteration


class Task(int):
    """The number of a batch, with what its making changed in the worker."""

    worker: int
    delta: dict[Any, Any]

    def __reduce__(self) -> Any:
        """Int's own way to be pickled would lose the attributes."""
        return make_task, (int(self), self.worker, self.delta)


def make_task(number: int, worker: int, delta: dict[Any, Any]) -> Task:
    """A `Task`."""
    task = Task(number)
    task.worker, task.delta = worker, delta
    return task


class Resume:
    """Message to a worker: continue from these states.

    Attributes:
        state: as merged from the deltas of the worker's tasks.
        iterate: ask the data set for a new iterator after its state was set (iterable ones, mid-epoch).
            The draws of that count only if the state has the key ``"fresh"``: none was asked for since.
    """

    def __init__(self, state: dict[Any, Any], *, iterate: bool) -> None:
        self.state = state
        self.iterate = iterate


def has_protocol(dataset: Any) -> bool:
    """Whether a data set saves and restores itself, which wins over what can be seen of it."""
    return all(callable(getattr(dataset, name, None)) for name in ("state_dict", "load_state_dict"))


class Carrier:
    """Reads the states of one worker process and sets them."""

    def __init__(self, worker: int, roots: dict[str, Any]) -> None:
        self.worker = worker
        self._roots = roots
        self._dataset = roots["dataset"]
        self._protocol = has_protocol(self._dataset)
        self._watch: Watch | None = None
        self._modules: dict[str, Any] = {}
        self._sent: dict[Any, Any] = {}
        self._fetcher: Any = None
        self._containers: list[tuple[str, Any, int]] = []

    def begin(self) -> None:
        """The user's ``worker_init_fn`` has run: what stands now will stand again after a restart."""
        shield_worker()  # after torch, whose own handler would let the worker die of a stranger's SIGTERM
        if self._watch is None:
            self._watch = Watch(self._roots, numbers=True)
            self._modules = module_generators(self._roots)
            self._containers = sized({"dataset": self._dataset})

    def delta(self) -> dict[Any, Any]:
        """What has changed since the last call, by generator name or by ``(path, key)``."""
        states: dict[Any, Any] = rngs.read_global()
        for name, generator in self._modules.items():
            states["module", name] = rngs.read(generator)
        if self._protocol:
            states["state_dict"] = self._dataset.state_dict()
            states["ended"] = getattr(self._fetcher, "ended", False)
        elif self._watch is not None:
            for path, key, value in self._watch.poll():
                states[path, key] = value
        if not self._protocol:
            for path, container, length in self._containers:
                if len(container) > length:
                    states["grown"] = path
        changed = {}
        for name, state in states.items():
            if name not in self._sent or not rngs.same(self._sent[name], state):
                # the queue pickles in a thread of its own, while the data set goes on
                changed[name] = self._sent[name] = copy.deepcopy(state) if name == "state_dict" else state
        return changed

    def set(self, state: dict[Any, Any], *, dataset: bool = True) -> None:
        """Set what the deltas of an earlier process said."""
        if dataset and "state_dict" in state:
            self._dataset.load_state_dict(copy.deepcopy(state["state_dict"]))
        if self._watch is not None and not self._protocol:
            names = [name for name in state if isinstance(name, tuple) and name[0] != "module"]
            self._watch.write([[path, key, state[path, key]] for path, key in names])
        for name, generator in self._modules.items():
            if ("module", name) in state:
                rngs.write(generator, state["module", name])
        rngs.write_global(state)
        if state.get("ended"):
            self._fetcher.ended = True
        self._sent = {name: value for name, value in state.items() if name != "grown"}

    def catch_fetchers(self) -> None:
        """Know what torch's loop fetches from; whether that has ended is not in the data set's own state."""
        create: Any = _DatasetKind.create_fetcher

        def creator(*arguments: Any, **named: Any) -> Any:
            fetcher = create(*arguments, **named)
            if fetcher.dataset is self._dataset:
                self._fetcher = fetcher
            return fetcher

        setattr(_DatasetKind, "create_fetcher", creator)  # noqa: B010 - in the worker's own process only


class _Orders:
    """What the worker reads its tasks from."""

    def __init__(self, queue: Any, carrier: Carrier) -> None:
        self._queue = queue
        self._carrier = carrier
        self._state: dict[Any, Any] | None = None

    def get(self, timeout: float | None = None) -> Any:
        if self._state is not None:
            # asking the data set for its iterator may have drawn
            self._carrier.set(self._state, dataset=False)
            self._state = None
        message = self._queue.get(timeout=timeout)
        self._carrier.begin()
        if not isinstance(message, Resume):
            return message
        self._carrier.set(message.state)
        if not message.iterate:
            return self._queue.get(timeout=timeout)
        if "fresh" not in message.state:
            self._state = message.state
        return _Again()


class _Again(_ResumeIteration):
    """Makes torch's loop fetch from a new iterator; its acknowledgement is ours to drop."""


class _Results:
    """Where the worker puts its batches."""

    def __init__(self, queue: Any, carrier: Carrier) -> None:
        self._queue = queue
        self._carrier = carrier

    def put(self, result: tuple[Any, Any]) -> None:
        number, data = result
        if isinstance(number, _Again):
            return
        if isinstance(number, int):
            number = make_task(number, self._carrier.worker, self._carrier.delta())
        self._queue.put((number, data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def worker_loop(*arguments: Any) -> None:
    """torch's worker loop, with states going in and out; same arguments."""
    named = dict(zip(inspect.signature(original_loop).parameters, arguments, strict=True))
    roots = {"dataset": named["dataset"], "collate_fn": named["collate_fn"], "init_fn": named["init_fn"]}
    carrier = Carrier(named["worker_id"], roots)
    carrier.catch_fetchers()
    named["index_queue"] = _Orders(named["index_queue"], carrier)
    named["data_queue"] = _Results(named["data_queue"], carrier)
    original_loop(**named)
