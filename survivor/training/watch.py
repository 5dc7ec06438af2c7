"""Seeing that training happens: backward passes and optimizer steps report the frame that they run under."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook


def install(trained: Callable[[FrameType], None]) -> None:
    """Call ``trained(frame)`` at every backward pass and optimizer step of this process.

    ``torch.autograd.backward`` is what ``Tensor.backward`` calls, ``torch.autograd.grad`` serves
    gradient penalties and meta-learning; the step covers training without either.
    """
    backward = torch.autograd.backward
    grad = torch.autograd.grad

    def watched_backward(*args: Any, **kwargs: Any) -> Any:
        trained(sys._getframe(1))
        return backward(*args, **kwargs)

    def watched_grad(*args: Any, **kwargs: Any) -> Any:
        trained(sys._getframe(1))
        return grad(*args, **kwargs)

    for watched, original in ((watched_backward, backward), (watched_grad, grad)):
        watched.__wrapped__ = original  # type: ignore[attr-defined]
        watched.__name__, watched.__doc__ = original.__name__, original.__doc__
    torch.autograd.backward = watched_backward
    torch.autograd.grad = watched_grad

    def stepped(optimizer: Any, args: Any, kwargs: Any) -> None:
        trained(sys._getframe(1))

    register_optimizer_step_pre_hook(stepped)
