"""A call on its way to its process: function and arguments pickled, and what can't go along named.

The pickle travels in an unnamed memory file between two processes of one user, never through a store.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import inspect
import io
import linecache
import os
import pickle
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from survivor import pickling
from survivor.errors import UsageError

_DEPTH = 4
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_MOST_LOOKED_AT = 2000


class _Unfit(Exception):
    """An object that must not go along; says why."""


class _Pickler(pickling.Pickler):
    """Cloudpickle that refuses what would come out as something else on the other side."""

    def persistent_id(self, obj: Any) -> None:
        """Called for each object; never gives an id."""
        why = _unfit(obj)
        if why:
            raise _Unfit(why)


def pack(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Two pickles: what stands around the call (sources, random state), and the call itself.

    Raises:
        UsageError: something can't go along; names each variable, and says what to do.
    """
    around = {"sources": _sources_in_memory(function), "random": random_state()}
    try:
        call = _dumps((function, args, kwargs))
    except Exception as error:
        found = list(_culprits(function, args, kwargs))
        name = getattr(function, "__name__", "the function")
        raise UsageError(
            f"{name}() can't be sent to the process that trains: "
            + ("; ".join(found) if found else f"{type(error).__name__}: {error}"),
            advice=f"make it inside {name}(), or pass what it is made from; a tensor or model on another device "
            "can be moved with .cpu() first",
        ) from None
    return pickle.dumps(around) + call


def random_state() -> dict[str, Any]:
    """The state of the random number generators of this process, as far as their libraries are loaded."""
    import random

    state: dict[str, Any] = {"python": random.getstate()}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        state["numpy"] = numpy.random.get_state()
    if torch is not None:
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Make the random number generators of this process go on from ``state``."""
    import random

    random.setstate(state["python"])
    if "numpy" in state:
        import numpy

        numpy.random.set_state(state["numpy"])
    if "torch" in state:
        import torch

        torch.set_rng_state(state["torch"])
        if state.get("cuda") and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


def give_sources(sources: dict[str, str]) -> None:
    """Make sources that are in no file (a notebook's cells) known to tracebacks and to the engine."""
    for filename, text in sources.items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def _dumps(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def _unfit(obj: Any) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
        return f"lives on {obj.device}"
    return ""


# ----------------------------------------------------------------------------- what tells one call from another


def words(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """The arguments for people, and for telling one call from another: those of a partial, a closure, settings.

    Addresses say nothing. What an object shows no more of is told by its plain attributes: a method of another object
    is another call. Weights are not looked at: those of an unseeded model differ in each new kernel, and a continued
    call takes those of its checkpoint.
    """
    inner = function
    while isinstance(inner, functools.partial):
        args, kwargs = (*inner.args, *args), {**inner.keywords, **kwargs}
        inner = inner.func
    if isinstance(inner, types.MethodType):
        args, inner = (inner.__self__, *args), inner.__func__
    named = {**_settings_read(inner), **_enclosed(inner), **kwargs}
    found = [_described(value) for value in args] + [f"{name}={_described(value)}" for name, value in named.items()]
    return [word[:1000] for word in found]


def _enclosed(function: Any) -> dict[str, Any]:
    """What a function takes from the functions that it was made in; not other functions, classes and modules."""
    cells = getattr(function, "__closure__", None) or ()
    found = {}
    for name, cell in zip(getattr(getattr(function, "__code__", None), "co_freevars", ()), cells, strict=False):
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if not callable(value) and not isinstance(value, types.ModuleType):
            found[name] = value
    return found


def _settings_read(function: Any) -> dict[str, Any]:
    """Plain globals that a function reads, or a function of its module that it calls: what a notebook's cells set.

    Not lists, which scripts grow as they go on.
    """
    found = {
        name: value
        for _, read in _read_by(function)
        for name, value in read.globals.items()
        if not name.startswith("__") and _is_setting(value)
    }
    return dict(sorted(found.items()))


def _is_setting(value: Any) -> bool:
    if isinstance(value, (argparse.Namespace, types.SimpleNamespace)) or dataclasses.is_dataclass(type(value)):
        value = getattr(value, "__dict__", value)  # one with slots is no dict, and no setting
    if isinstance(value, dict):
        return all(type(key) is str and _is_setting(item) for key, item in value.items())
    if isinstance(value, tuple):
        return all(map(_is_setting, value))
    return value is None or type(value) in (bool, int, float, str)


def _described(value: Any, depth: int = _DEPTH) -> str:
    text = repr(value)
    if not _ADDRESS.search(text):
        return text
    if depth and isinstance(value, (list, tuple)):
        return type(value).__name__ + str([_described(item, depth - 1) for item in value])
    if depth and isinstance(value, dict):
        return str({key: _described(item, depth - 1) for key, item in value.items()})
    text = _ADDRESS.sub("", text)
    if not depth or callable(value) or not hasattr(value, "__dict__"):
        return text
    parts = [
        f"{name}={_described(item, depth - 1)}"
        for name, item in sorted(vars(value).items())
        if not callable(item) and type(item).__module__.partition(".")[0] != "torch"
    ]
    return f"{text}({', '.join(parts)})" if parts else text


# ----------------------------------------------------------------------------- who can't go along


def _culprits(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
    looked = [_MOST_LOOKED_AT]
    for name, value in _parts(function, args, kwargs):
        why = _why_not(value)
        if why:
            path, reason = _deepest(name, value, why, looked)
            yield f"{path} {reason}"


def _parts(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a call takes along, by the names that the user gave: arguments, variables of its closure, globals."""
    try:
        bound = inspect.signature(function).bind_partial(*args, **kwargs).arguments
        yield from ((f"argument {name!r}", value) for name, value in bound.items())
    except (TypeError, ValueError):
        yield from ((f"argument {number}", value) for number, value in enumerate(args, start=1))
    seen: set[int] = set()
    for module, read in _read_by(function):
        for name, value in {**read.globals, **read.nonlocals}.items():
            if id(value) not in seen and not isinstance(value, types.ModuleType) and not _is_of(module, value):
                seen.add(id(value))
                yield f"variable {name!r}", value


def _read_by(function: Any) -> Iterator[tuple[str, inspect.ClosureVars]]:
    """Module and variables read, of a function and of the functions of its module that it calls."""
    seen, waiting = set(), [function]
    while waiting:
        value = waiting.pop()
        target = inspect.unwrap(getattr(value, "__func__", value))
        if not isinstance(target, types.FunctionType) or target in seen:
            continue
        seen.add(target)
        try:
            read = inspect.getclosurevars(target)
        except (TypeError, ValueError):  # a variable of its closure is not bound yet
            continue
        yield target.__module__, read
        waiting += [each for each in {**read.globals, **read.nonlocals}.values() if _is_of(target.__module__, each)]


def _is_of(module: str, value: Any) -> bool:
    return isinstance(value, types.FunctionType) and value.__module__ == module


def _why_not(value: Any) -> str:
    try:
        _dumps(value)
    except _Unfit as error:
        return str(error)
    except Exception as error:
        return f"can't be sent ({error})"
    return ""


def _deepest(path: str, value: Any, why: str, looked: list[int], depth: int = 0) -> tuple[str, str]:
    """The smallest part of a value that is in the way."""
    for step, item in _items(value) if depth < _DEPTH else ():
        looked[0] -= 1
        if looked[0] < 0:
            break
        inner = _why_not(item)
        if inner:
            return _deepest(f"{path}{step}", item, inner, looked, depth + 1)
    kind = type(value)
    return f"{path} ({kind.__module__}.{kind.__qualname__})".replace("(builtins.", "("), why


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{number}]", item) for number, item in enumerate(value))
    elif not isinstance(value, type) and hasattr(value, "__dict__") and type(value).__module__ != "torch":
        yield from ((f".{name}", item) for name, item in vars(value).items())


# ----------------------------------------------------------------------------- sources


def _sources_in_memory(function: Callable[..., Any]) -> dict[str, str]:
    """The text of the functions' source files that are only in memory, as a notebook's cells are."""
    target = inspect.unwrap(getattr(function, "func", getattr(function, "__func__", function)))
    names = {getattr(getattr(target, "__code__", None), "co_filename", "")}
    for value in list(getattr(target, "__globals__", {}).values()):
        members = [value, *vars(value).values()] if isinstance(value, type) else [value]
        for member in members:
            plain = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else member
            if isinstance(plain, types.FunctionType):
                names.add(plain.__code__.co_filename)
    texts = {name: "".join(linecache.getlines(name)) for name in names if name and not os.path.isfile(name)}
    return {name: text for name, text in texts.items() if text}
