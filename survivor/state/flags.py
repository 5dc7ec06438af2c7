"""Settings of the whole process that a script may change while it trains: read and set with each level."""

from __future__ import annotations

import decimal
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from survivor.errors import DivergedError
from survivor.state import environment

#: The working folder as it was before the script's first line.
_HOME = os.getcwd()

_Flag = tuple[Callable[[], Any], Callable[[Any], Any]]


def _attribute(owner: Any, name: str) -> _Flag:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _set_deterministic(value: list[bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _working_folder() -> str:
    """Relative to where the script was started, if it is below: that may be elsewhere in the next session."""
    try:
        now = os.getcwd()
    except FileNotFoundError:  # it was removed
        return "."
    return os.path.relpath(now, _HOME) if now == _HOME or now.startswith(_HOME.rstrip("/") + "/") else now


def _enter(folder: str) -> None:
    place = os.path.normpath(os.path.join(_HOME, folder))
    if place.startswith(_HOME.rstrip("/") + "/"):
        os.makedirs(place, exist_ok=True)  # training may have made it
    try:
        os.chdir(place)
    except OSError as error:
        raise DivergedError(
            f"the script had changed its working folder to {place}, which can't be entered now: {error.strerror}",
            advice=f"bring {place} back, and run the same command again",
        ) from error


#: Of NumPy's print options, those that are plain data.
_PRINTED = ("precision", "threshold", "edgeitems", "linewidth", "suppress", "nanstr", "infstr", "sign", "floatmode")


def _numpy_printing() -> dict[str, Any]:
    return {name: value for name, value in np.get_printoptions().items() if name in _PRINTED}


def _set_torch_printing(values: dict[str, Any]) -> None:
    vars(torch._tensor_str.PRINT_OPTS).update(values)


def _set_decimal(value: list[Any]) -> None:
    decimal.getcontext().prec, decimal.getcontext().rounding = value


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
    "working folder": (_working_folder, _enter),
    "torch printing": (lambda: dict(vars(torch._tensor_str.PRINT_OPTS)), _set_torch_printing),
    "decimal": (lambda: [decimal.getcontext().prec, decimal.getcontext().rounding], _set_decimal),
    "numpy printing": (_numpy_printing, lambda values: np.set_printoptions(**values)),
    "environment": (environment.read, environment.write),
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
