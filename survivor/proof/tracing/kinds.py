"""What the walk makes of objects that it doesn't know by class."""

from __future__ import annotations

import datetime
import decimal
import fractions
import inspect
import io
import logging
import os
import pathlib
import re
import threading
import types
import uuid
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch

ATOMS: frozenset[type] = frozenset(
    [
        type(None),
        type(...),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        range,
        slice,
        datetime.datetime,
        datetime.date,
        datetime.timedelta,
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
        type(pathlib.Path()),
    ]
)
MODULE_PLUMBING = frozenset(torch.nn.Module().__dict__)
_LEAST_ADDRESS = 1 << 20
_LEFT_ALONE = (
    io.IOBase,
    logging.Logger,
    logging.Handler,
    threading.Thread,
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Event,
    threading.Condition,
    threading.Semaphore,
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.GeneratorType,
    types.CoroutineType,
    types.BuiltinFunctionType,
    types.CellType,
    types.MappingProxyType,
    property,
    staticmethod,
    classmethod,
    weakref.ref,
    re.Pattern,
    inspect.Signature,
)
#: Packages whose objects show, write or run things; what they hold is not the state of a training.
_PACKAGES = frozenset(
    """
    logging matplotlib tqdm tensorboard tensorboardX wandb mlflow comet_ml neptune rich click argparse_
    multiprocessing concurrent asyncio socket ssl subprocess tempfile IPython importlib unittest pytest typing
    warnings survivor _io _socket _thread _ctypes
    """.split()
)
_PREFIXES = (
    "torch.utils.tensorboard",
    "torch.utils.data.dataloader._",
    "torch.autograd",
    "torch.profiler",
    "torch.amp.autocast_mode",
    "torch.fx",
    "torch._",
    "torch.jit",
    "torch.cuda.streams",
    "torch.multiprocessing",
    "torch.utils.hooks",
)


def is_left_alone(value: Any) -> bool:
    """Whether an object is machinery: an open file, a thread, a progress bar, an iterator in progress."""
    if isinstance(value, _LEFT_ALONE):
        return True
    kind = type(value)
    if isinstance(value, Iterator) and not hasattr(value, "__dict__"):
        return True
    for base in kind.__mro__[:-1]:
        name = base.__module__
        if name.partition(".")[0] in _PACKAGES or f"{name}.{base.__qualname__}".startswith(_PREFIXES):
            return True
    return False


def all_atoms(values: Iterable[Any]) -> bool:
    """Whether every item is a plain value."""
    return all(type(value) in ATOMS for value in values)


def key_label(key: Any) -> str:
    """How a dict's key stands in a path; an object's address says nothing."""
    if type(key) is int and key >= _LEAST_ADDRESS:
        return "#id"
    if type(key) in ATOMS or isinstance(key, (str, os.PathLike)):
        return repr(key)
    if isinstance(key, tuple) and all_atoms(key):
        return repr(key)
    return f"#{type(key).__name__}"


def attributes(value: Any) -> list[tuple[str, Any]]:
    """Names and values of an instance's attributes, from its ``__dict__`` and its slots, sorted."""
    found = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__"):
                continue
            try:
                found[name] = getattr(value, name)
            except AttributeError:
                continue
    return sorted((str(n), v) for n, v in found.items() if not str(n).startswith("__"))


def is_table(value: Any) -> bool:
    """Whether this is a pandas table."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "to_numpy")
