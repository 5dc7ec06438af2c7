"""Tensors that hold still until the next optimizer step: a copy of them can be taken beside the training.

What an optimizer holds (parameters, their gradients, its own state) changes in its ``step``, which tells beforehand.
Of any other change by torch's operators the tensor's version counter tells afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

#: What is smaller is copied faster than it is told of.
LEAST_BYTES = 1 << 16


class Steady:
    """A tensor as it was, to be asked later whether it still is."""

    __slots__ = ("_seen", "_tensor", "address")

    def __init__(self, tensor: torch.Tensor) -> None:
        """Note a tensor of any shape and dtype; ``detach`` shares its memory and its version counter."""
        self._tensor = tensor.detach()
        self._seen = tensor._version
        self.address = address_of(tensor)

    @property
    def held(self) -> bool:
        """Whether no operator has written to it since."""
        return self._tensor._version == self._seen


def address_of(tensor: torch.Tensor, storage: Callable[[Any], Any] = torch.Tensor.untyped_storage) -> int:
    """Where the memory begins that a tensor looks at."""
    return int(storage(tensor).data_ptr())


def addresses(values: Iterable[Any]) -> frozenset[int]:
    """Where the memory lies that the optimizers among ``values`` hold and tell of before they change it."""
    return frozenset(
        address_of(tensor)
        for value in values
        # `hooked` is what torch makes of a class's step when the first instance is built
        if isinstance(value, torch.optim.Optimizer) and getattr(type(value).step, "hooked", False)
        for tensor in _held_by(value)
        if _is_plain(tensor)
    )


def _held_by(optimizer: torch.optim.Optimizer) -> Iterator[Any]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield parameter
            yield parameter.grad
    for state in optimizer.state.values():
        if isinstance(state, dict):
            yield from state.values()


def _is_plain(tensor: Any) -> bool:
    """Whether it lies in this process's own memory, and counts its versions."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_inference()
        and not tensor.untyped_storage().is_shared()
    )
