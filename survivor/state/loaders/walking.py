"""The objects below a loader: walked a few levels deep, always in the same order.

So a path names the same object in the process that runs the script again. Samplers and data sets may
hold anything; what is opaque (files, tables, images) or long (lists of data) is not looked into.
"""

from __future__ import annotations

import functools
import io
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from survivor.state.loaders import rngs

_DEPTH = 8
_HOLDERS = 500
_ITEMS = 64  # a longer list holds data, not transforms
#: Packages whose objects are never looked into.
_OPAQUE = frozenset(
    {"PIL", "_io", "builtins", "concurrent", "ctypes", "h5py", "io", "logging", "multiprocessing"}
    | {"pandas", "pathlib", "pyarrow", "re", "sqlite3", "threading", "weakref", "zipfile"}
)
PLAIN = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic, torch.Tensor)
_LEAVES: tuple[type, ...] = (
    *PLAIN,
    *rngs.KINDS,
    type,
    types.ModuleType,
    io.IOBase,
    torch.dtype,
    torch.device,
    weakref.ref,
)


def walk(roots: dict[str, Any], skip: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any, dict[Any, Any]]]:
    """Every holder below the roots, breadth first: its path, itself, and its values by key."""
    seen = {id(value) for value in skip}
    queue: deque[tuple[str, Any, int]] = deque([("", roots, 0)])
    count = 0
    while queue and count < _HOLDERS:
        path, holder, depth = queue.popleft()
        values = _values(holder)
        if values is None:
            continue
        count += 1
        yield path, holder, values
        if depth == _DEPTH:
            continue
        for key, value in values.items():
            if not isinstance(value, _LEAVES) and id(value) not in seen:
                seen.add(id(value))
                queue.append((f"{path}/{key}", value, depth + 1))


def _values(holder: Any) -> dict[Any, Any] | None:
    if isinstance(holder, (dict, list, tuple, deque)):
        if len(holder) > _ITEMS:
            return None
        return holder if isinstance(holder, dict) else dict(enumerate(holder))
    if isinstance(holder, functools.partial):
        return {"func": holder.func, "args": holder.args, "keywords": holder.keywords}
    if isinstance(holder, types.MethodType):
        return {"self": holder.__self__}
    if isinstance(holder, types.FunctionType):
        return _closure(holder)
    opaque = type(holder).__module__.partition(".")[0] in _OPAQUE
    attributes = None if opaque else getattr(holder, "__dict__", None)
    return attributes if isinstance(attributes, dict) else None


def view(holder: Any) -> Callable[[], Any]:
    """What gives a holder's current values, in order and with their number, without a copy where possible."""
    if isinstance(holder, (list, tuple, deque)):
        return lambda: holder
    if isinstance(holder, (functools.partial, types.MethodType, types.FunctionType)):
        return lambda: tuple((_values(holder) or {}).values())
    return (holder if isinstance(holder, dict) else holder.__dict__).values


def _closure(function: types.FunctionType) -> dict[Any, Any] | None:
    values: dict[Any, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    if function.__defaults__:
        values["defaults"] = function.__defaults__
    return values or None


def sized(roots: dict[str, Any]) -> list[tuple[str, Any, int]]:
    """Path, container and length of the containers below the roots that can grow: a cache may be one."""
    return [
        (f"{path}/{key}".lstrip("/").replace("/", "."), value, len(value))
        for path, _, values in walk(roots)
        for key, value in values.items()
        if isinstance(value, (dict, list, set, deque))
    ]


def module_generators(roots: dict[str, Any]) -> dict[str, Any]:
    """Generators at the top of the modules that the classes and functions below the roots come from."""
    names = set()
    for _, holder, _ in walk(roots):
        if isinstance(holder, types.FunctionType):
            names.add(holder.__module__)
        else:
            names.update(kind.__module__ for kind in type(holder).__mro__)
    names -= {name for name in names if name.partition(".")[0] in _OPAQUE | {"torch", "numpy", "random"}}
    return {
        f"{name}.{key}": value
        for name in sorted(names)
        for key, value in list(vars(sys.modules.get(name, types)).items())
        if rngs.is_private(value)
    }
