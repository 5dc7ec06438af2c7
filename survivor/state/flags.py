"""Settings of the whole process that a script may change while it trains: read and set with each level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_Flag = tuple[Callable[[], Any], Callable[[Any], Any]]


def _attribute(owner: Any, name: str) -> _Flag:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _set_deterministic(value: list[bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


_FLAGS: dict[str, _Flag] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "gradients": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "anomaly": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic": (
        lambda: [torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()],
        _set_deterministic,
    ),
    "cudnn": _attribute(torch.backends.cudnn, "enabled"),
    "cudnn benchmark": _attribute(torch.backends.cudnn, "benchmark"),
    "cudnn deterministic": _attribute(torch.backends.cudnn, "deterministic"),
    "numpy errors": (np.geterr, lambda value: np.seterr(**value)),
}


def read_all() -> dict[str, Any]:
    """The settings as they are, by name."""
    return {name: read() for name, (read, _) in _FLAGS.items()}


def write_all(settings: dict[str, Any]) -> None:
    """Set what differs from settings that `read_all` gave, perhaps in another process."""
    for name, (read, write) in _FLAGS.items():
        if name in settings and settings[name] != read():
            write(settings[name])
