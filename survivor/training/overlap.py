"""Copying a snapshot beside the training: steady tensors by a thread, while the next forward and backward run.

The copy is looked at before anybody may have changed what it reads: an optimizer that is about to step waits for
it, and so does whoever asks a tensor for a way to its memory that version counters know nothing of (the *doors*:
``.data``, ``numpy()``, a pointer …). If a counter has moved all the same, the copy is torn, and is thrown away.

Things that don't work:

- Looking at the counters in the thread that copies: an operator writes first and counts afterwards.
- Closing the doors for good: they are used all the time, and would be seen in the user's tracebacks.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Set
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from survivor.arena import Copy
from survivor.checkpoint.snapshot import Steadiness
from survivor.state.steady import address_of

#: The ways to a tensor's memory, or operators on it, that no version counter tells of.
_TENSOR_DOORS = ("numpy", "data_ptr", "untyped_storage", "resize_", "__dlpack__")
_OPERATOR_DOORS = (
    "_amp_foreach_non_finite_check_and_unscale_",
    "_fused_adagrad_",
    "_fused_adam_",
    "_fused_adamw_",
    "_fused_sgd_",
)


class Overlap:
    """One copy beside the training.

    Args:
        copy: what is left to copy, and how it becomes valid.
        steady: what must not have changed until it is done, by name.
        sealed: called when it has become valid.

    Attributes:
        torn: names of what has changed meanwhile; the copy was thrown away then.
        seconds: what the copy took of the thread and of whoever waited for it.
    """

    def __init__(self, copy: Copy, steady: Mapping[str, Steadiness], sealed: Callable[[], None]) -> None:
        self.torn: list[str] = []
        self.seconds = 0.0
        self._copy = copy
        self._steady = steady
        self._sealed = sealed
        self._over = False
        self._copying = _thread.allocate_lock()  # held by the thread until it is done
        self._settling = _thread.RLock()  # a signal's handler may come here as well
        self._thread = 0
        self._done = False
        self._failed = False
        self._doors = contextlib.ExitStack()

    def start(self) -> None:
        """Copy from now on."""
        self._copying.acquire()
        hook = register_optimizer_step_pre_hook(lambda *_: self._wait())
        self._doors.callback(hook.remove)
        _close_doors(self._doors, self._wait, {memory.address for memory in self._steady.values()})
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        self._thread = _thread.get_ident()
        begin = time.monotonic()
        try:
            self._copy.finish()
        except BaseException:
            self._failed = True
        self.seconds += time.monotonic() - begin
        self._done = True
        self._copying.release()

    def _wait(self) -> None:
        # the garbage collector may run anything in the thread that copies
        if _thread.get_ident() != self._thread:
            self.settle(wait=True)

    def settle(self, *, wait: bool) -> bool:
        """Make the copy valid if all has held still; False if it is not done yet, and is not waited for."""
        if not (wait or self._done):
            return False
        begin = time.monotonic()
        if not self._done:
            with self._copying:
                pass
        with self._settling:
            if not self._over:
                self._over = True
                self._doors.close()
                self.torn = [name for name, memory in self._steady.items() if self._failed or not memory.held]
                if not self.torn:
                    self._copy.commit()
                    self._sealed()
                self.seconds += time.monotonic() - begin
        return True


def compiles() -> bool:
    """Whether ``torch.compile`` has been at work in this process.

    Its code is made again when a hook or a method of tensors is another, at most a few times, and rounds otherwise.
    """
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and bool(dynamo.counters["frames"]["total"])


def _close_doors(opened: contextlib.ExitStack, wait: Callable[[], None], addresses: Set[int]) -> None:
    """Let whoever goes through a door to that memory ``wait`` first; ``opened`` makes them as they were."""

    def guarded(original: Any) -> Any:
        def door(*args: Any, **kwargs: Any) -> Any:
            if _may_lead_to(args[0] if args else None, addresses):
                wait()
            return original(*args, **kwargs)

        door.__name__, door.__doc__ = original.__name__, original.__doc__
        return door

    def set_for_now(owner: Any, name: str, value: Any) -> None:
        own = vars(owner).get(name)
        setattr(owner, name, value)
        opened.callback(delattr, owner, name) if own is None else opened.callback(setattr, owner, name, own)

    for name in _TENSOR_DOORS:
        set_for_now(torch.Tensor, name, guarded(getattr(torch.Tensor, name)))
    for name in _OPERATOR_DOORS:
        if hasattr(torch, name):
            set_for_now(torch, name, guarded(getattr(torch, name)))
    data: Any = torch._C.TensorBase.data
    set_for_now(torch.Tensor, "data", property(guarded(data.__get__), guarded(data.__set__), guarded(data.__delete__)))


def _may_lead_to(owner: Any, addresses: Set[int]) -> bool:
    """Whether a tensor looks at memory that is being copied; of what has no memory of its own that is not known."""
    if not isinstance(owner, torch.Tensor):
        return True
    try:
        return address_of(owner) in addresses
    except Exception:
        return True
