"""Objects of libraries that hold state behind an interface of their own: taken apart and filled in place.

What is here is no ``state_dict`` and no set of attributes: queues keep locks beside their items, a scripted
module keeps its parameters in C++, a compiled one wraps the module that it was made of, and shared memory
is reached through ``multiprocessing``'s own objects.
"""

from __future__ import annotations

import array
import contextvars
import logging
import queue
import struct
import sys
import threading
from typing import Any

import numpy as np
import torch

from survivor.state import immutables, windows

_QUEUES: tuple[type, ...] = (queue.Queue, queue.LifoQueue, queue.PriorityQueue)
_FLAGS = (threading.Event, threading.Semaphore, threading.BoundedSemaphore)
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_LOGGERS = (logging.Logger, logging.RootLogger)
_OTHERS = (array.array, struct.Struct, threading.local, contextvars.ContextVar, *_FLAGS, *_LOCKS, *_LOGGERS)
_PLAIN = (int, float, bool, str, list, dict, tuple, type(None))
#: Attributes of a scripted module that belong to its machinery.
_NOTHING: Any = object()
_SCRIPT_MACHINERY = frozenset({"training", "_is_full_backward_hook"})


def handles(kind: type) -> bool:
    """Whether instances of a class are taken apart here."""
    return kind in _QUEUES or kind in _OTHERS or immutables.handles(kind) or windows.handles(kind) or _name(kind) != ""


def name(value: Any) -> str:
    """The name of an object's kind in a document."""
    kind = type(value)
    return _name(kind) or kind.__name__


def _name(kind: type) -> str:
    if issubclass(kind, torch.jit.ScriptModule):
        return "script"
    if kind.__name__ == "OptimizedModule" and kind.__module__.startswith("torch._dynamo"):
        return "compiled"
    if kind.__name__ == "Image" and kind.__module__ == "PIL.Image":  # those of a file are classes of their own
        return "image"
    shared = sys.modules.get("multiprocessing.sharedctypes")
    if shared is not None and issubclass(kind, shared.SynchronizedBase):
        return "shared"
    return ""


def parts(value: Any) -> dict[str, Any] | None:  # noqa: PLR0911  # one return a kind
    """What the object holds; ``None`` if it won't say."""
    kind = name(value)
    if immutables.handles(type(value)):
        return immutables.parts(value)
    if windows.handles(type(value)):
        return windows.parts(value)
    if kind == "script":
        return _script_parts(value)
    if kind == "compiled":
        return {"module": value._orig_mod}
    if kind == "image":
        pixels = np.frombuffer(value.tobytes(), np.uint8)
        return {"mode": value.mode, "size": value.size, "pixels": pixels, "palette": value.getpalette()}
    if kind == "shared":
        held = value.get_obj()
        return {"value": held.value} if hasattr(held, "value") else {"items": list(held)}
    return _standard_parts(value)


def _standard_parts(value: Any) -> dict[str, Any]:  # noqa: PLR0911  # one return a kind
    if isinstance(value, array.array):
        return {"typecode": value.typecode, "bytes": value.tobytes()}
    if isinstance(value, struct.Struct):
        return {"format": value.format}
    if isinstance(value, _LOCKS):
        return {}  # nobody else runs at a safe point
    if isinstance(value, _LOGGERS):
        return {"name": value.name, "level": value.level, "disabled": value.disabled, "propagate": value.propagate}
    if isinstance(value, threading.Event):
        return {"set": value.is_set()}
    if isinstance(value, threading.Semaphore):
        return {"free": value._value}
    if isinstance(value, threading.local):
        return {"attributes": dict(vars(value))}  # the main thread's
    if isinstance(value, contextvars.ContextVar):
        held = value.get(_NOTHING)
        return {} if held is _NOTHING else {"value": held}
    return {"items": list(value.queue), "maxsize": value.maxsize, "unfinished": value.unfinished_tasks}


def _script_parts(value: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for path, module in value.named_modules():
        concrete = getattr(module, "_concrete_type", None)
        names = concrete.get_attributes() if concrete is not None else {}
        for attribute in names:
            held = getattr(module, attribute, None)
            if attribute not in _SCRIPT_MACHINERY and isinstance(held, _PLAIN):
                attributes[f"{path}:{attribute}"] = held
    return {
        "tensors": dict(value.named_parameters(remove_duplicate=False))
        | dict(value.named_buffers(remove_duplicate=False)),
        "training": {path: module.training for path, module in value.named_modules()},
        "attributes": attributes,
    }


def rebuild(kind: str, values: dict[str, Any], live: Any, missing: Any) -> Any:
    """The object with what it held: ``live`` filled in place, or a new one; ``missing`` where there is no way."""
    if kind in immutables.NAMES:
        return immutables.rebuild(kind, values)
    if kind in windows.NAMES:
        return windows.rebuild(kind, values, live, missing)
    return _rebuild(kind, values, live, missing)


def _rebuild(kind: str, values: dict[str, Any], live: Any, missing: Any) -> Any:  # noqa: PLR0911, PLR0912  # the same
    if kind == "Struct":
        return live if live is not missing and live.format == values["format"] else struct.Struct(values["format"])
    if kind == "array":
        fits = live is not missing and live.typecode == values["typecode"]
        target = live if fits else array.array(values["typecode"])
        del target[:]
        target.frombytes(values["bytes"])
        return target
    made = {each.__name__: each for each in _QUEUES}.get(kind)
    if made is not None:
        target = made(values["maxsize"]) if live is missing else live
        target.queue.clear()
        target.queue.extend(values["items"])
        target.unfinished_tasks = values["unfinished"]
        return target
    if kind == "image":
        return _image(values, live)
    locks = {each.__name__: made for each, made in zip(_LOCKS, (threading.Lock, threading.RLock), strict=True)}
    if kind in locks:
        return locks[kind]() if live is missing else live
    if kind in [each.__name__ for each in _LOGGERS]:
        return _logger(kind, values, live, missing)
    if kind in [each.__name__ for each in _FLAGS]:
        return _flag(kind, values, live, missing)
    if kind == "_local":
        target = threading.local() if live is missing else live
        vars(target).clear()
        vars(target).update(values["attributes"])
        return target
    if live is missing:
        return missing
    if kind == "ContextVar" and "value" in values:
        live.set(values["value"])
    if kind == "script":
        _fill_script(live, values)
    elif kind == "shared":
        held = live.get_obj()
        if "value" in values:
            held.value = values["value"]
        else:
            held[:] = values["items"]
    return live  # a compiled module was filled through the module in it


def _logger(kind: str, values: dict[str, Any], live: Any, missing: Any) -> Any:
    root = kind == logging.RootLogger.__name__
    target = logging.getLogger(None if root else values["name"]) if live is missing else live
    target.setLevel(values["level"])
    target.disabled, target.propagate = values["disabled"], values["propagate"]
    return target


def _flag(kind: str, values: dict[str, Any], live: Any, missing: Any) -> Any:
    if kind == "Event":
        target = threading.Event() if live is missing else live
        target.set() if values["set"] else target.clear()
    elif live is missing and kind == "BoundedSemaphore":
        return missing  # its bound is not known
    else:
        target = threading.Semaphore() if live is missing else live
        target._value = values["free"]
    return target


def _image(values: dict[str, Any], live: Any) -> Any:
    images = sys.modules["PIL.Image"]
    made = images.frombytes(values["mode"], tuple(values["size"]), values["pixels"].tobytes())
    if values["palette"] is not None:
        made.putpalette(values["palette"])
    if type(live) is not type(made) or (live.mode, live.size) != (made.mode, made.size):
        return made
    live.im, live.palette, live.readonly = made.im, made.palette, 0
    return live


def _fill_script(live: Any, values: dict[str, Any]) -> None:
    modules = dict(live.named_modules())
    for path, training in values["training"].items():
        modules[path].training = training
    for place, held in values["attributes"].items():
        path, _, attribute = place.rpartition(":")
        setattr(modules[path], attribute, held)
