"""What torch's own classes keep in their instances' attributes for themselves: no state of training."""

from __future__ import annotations

import functools
from typing import Any

import torch

#: nn.Module machinery that holds no state of training: hook tables and flags that its code sets up.
_MODULE = frozenset(name for name in torch.nn.Module().__dict__) - {
    "training",
    "_parameters",
    "_buffers",
    "_non_persistent_buffers_set",
    "_modules",
}
#: Attributes that belong to the machinery of torch's own classes, by class.
_SKIPPED: dict[type, frozenset[str]] = {
    torch.nn.Module: _MODULE,
    torch.utils.data.DataLoader: frozenset({"_DataLoader__multiprocessing_context"}),
}


@functools.cache
def _of_optimizers() -> frozenset[str]:
    """The same of optimizers, found when the first one is met.

    Not at import: the first optimizer of a process makes torch load torch.compile's modules, half of all its
    start-up, and a script shall pay for that when it makes one itself.
    """
    template = vars(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    return frozenset(name for name in template if "hook" in name or "patch" in name) | {"step", "zero_grad"}


def skipped(value: Any) -> frozenset[str]:
    """The attributes of an instance that are left to its class."""
    result: frozenset[str] = frozenset()
    for base, names in _SKIPPED.items():
        if isinstance(value, base):
            result |= names
    if isinstance(value, torch.optim.Optimizer):
        result |= _of_optimizers()
    return result


def is_hook_table(name: str, value: Any) -> bool:
    """Whether this is a module's table of hooks with hooks in it: they may come and go (pruning)."""
    return name in _MODULE and isinstance(value, dict) and bool(value)


def new(target: Any) -> dict[str, Any]:
    """The attributes that torch's own machinery expects on an instance made without ``__init__``."""
    if isinstance(target, torch.nn.Module):
        made = dict(torch.nn.Module().__dict__)
    elif isinstance(target, torch.optim.Optimizer):
        left_out = _of_optimizers()
        template = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        made = {k: v for k, v in vars(template).items() if k in left_out and k != "step"}
    elif isinstance(target, torch.utils.data.DataLoader):
        made = {"_DataLoader__multiprocessing_context": None}
    else:
        made = {}
    return made
