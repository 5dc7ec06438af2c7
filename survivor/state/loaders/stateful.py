"""torchdata's ``StatefulDataLoader``: its iterators are forks of torch's, and are brought to where the others are.

Without workers its own iterator is used, so that its ``state_dict`` is what the script expects. With workers it gets
torch's own iterator, whose workers can be resumed with their random states; batches, order and draws are the same.
There its ``state_dict`` can't be given, and a script that asks for it is told so.

The module may be imported at any time, so both base classes tell of their subclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data import dataloader as torch_loader

from survivor.errors import NotResumableError

_MODULE = "torchdata.stateful_dataloader.stateful_dataloader"
_LOADER = "StatefulDataLoader"
_SINGLE = "_StatefulSingleProcessDataLoaderIter"


def is_single(it: Any) -> bool:
    """Whether this is its iterator without workers."""
    return any(base.__name__ == _SINGLE and base.__module__ == _MODULE for base in type(it).__mro__)


def settle(it: Any, drawn: int, exhausted: bool) -> None:
    """Its own counts, once an iterator was brought to a position."""
    if is_single(it):
        it._sampler_iter_yielded, it._finished = drawn, exhausted


def install(on_single: Callable[[type], None], in_this_process: Callable[[], bool]) -> None:
    """From now on know its classes; ``on_single`` wraps the methods of its iterator without workers."""

    def met(cls: type) -> None:
        if cls.__module__ == _MODULE and cls.__name__ == _SINGLE:
            on_single(cls)
        elif cls.__module__ == _MODULE and cls.__name__ == _LOADER:
            _exchange_workers(cls, in_this_process)

    torch_loader._BaseDataLoaderIter._finished = False  # type: ignore[attr-defined]  # what its loader asks for
    for base in (DataLoader, torch_loader._BaseDataLoaderIter):
        _tell_of_subclasses(base, met)
    loaded = sys.modules.get(_MODULE)
    for name in (_SINGLE, _LOADER):
        if loaded is not None:
            met(getattr(loaded, name))


def _tell_of_subclasses(base: Any, met: Callable[[type], None]) -> None:
    def subclassed(cls: type, /, **named: Any) -> None:
        super(base, cls).__init_subclass__(**named)
        met(cls)

    setattr(base, "__init_subclass__", classmethod(subclassed))  # noqa: B010  # mypy takes it for an instance's


def _exchange_workers(cls: Any, in_this_process: Callable[[], bool]) -> None:
    original = cls._get_iterator

    def get(self: Any) -> Any:
        if self.num_workers == 0 or self.next_iter_state is not None or not in_this_process():
            return original(self)
        self.check_worker_number_rationality()
        return torch_loader._MultiProcessingDataLoaderIter(self)

    def state_dict(self: Any) -> Any:
        if self.num_workers and in_this_process():
            raise NotResumableError(
                "a StatefulDataLoader with workers was asked for its state_dict, which survivor can't give",
                advice="leave the loader out of the script's own checkpoints: survivor brings it back itself, with the "
                "random states of its workers, which its state_dict leaves out",
            )
        return own_state(self)

    own_state = cls.state_dict
    cls._get_iterator, cls.state_dict = get, state_dict
