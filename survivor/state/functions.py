"""Functions in a document: matched with those that the re-run script has, never looked up to be called.

A document names a function; the re-run provides its code. What a function has captured (cells, a bound
``self``, the parts of a ``partial``) is state and is carried. A closure that the re-run has not made yet
is built from the code of the user's own module and the carried cells.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
from typing import Any

import torch

from survivor.state.scope import Scope

_TORCH_NAMESPACES = (
    torch.nn.functional,
    torch,
    torch.nn.init,
    torch.special,
    torch.linalg,
    torch.utils.data._utils.collate,  # a loader that was made while training
)
_BUILTINS: dict[str, Any] = {f.__name__: f for f in (abs, max, min, sum, len, sorted, all, any, round, pow, iter, next)}
_CONTAINER_METHODS = (list, dict, set, tuple)


#: Values that were worked out when the ``def`` ran.
DEFAULTS = ("__defaults__", "__kwdefaults__")
KINDS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)


def name(value: Any, scope: Scope) -> str:
    """A function's name in a document: it is matched with the re-run's functions, never looked up and called."""
    if isinstance(value, functools.partial):
        return "partial"
    known = scope.code_name(value.__code__) if isinstance(value, types.FunctionType) else None
    return known or plain_name(value)


def parts(value: Any, scope: Scope) -> dict[str, Any]:
    """What a callable has captured, by name: cells (``<x>``), its ``__dict__``, ``__self__``, a partial's parts.

    Of a function that is not the user's own nothing is looked at: what it has captured is a library's business.
    """
    if isinstance(value, types.FunctionType):
        if value.__code__.co_filename not in scope.files:
            return {}
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=False)
        found: dict[str, Any] = {f"<{name}>": cell for name, cell in cells}
        if value.__dict__:
            found["__dict__"] = {k: v for k, v in value.__dict__.items() if k != "__wrapped__"}
        found |= {name: getattr(value, name) for name in DEFAULTS if getattr(value, name)}
        return found
    if isinstance(value, functools.partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    owner = getattr(value, "__self__", None)
    return {} if owner is None or isinstance(owner, types.ModuleType) else {"__self__": owner}


class Library:
    """Finds functions for the names in a document."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def same(self, node: list[Any], live: Any) -> bool:
        """Whether a live callable can stand for a function node."""
        if not isinstance(live, KINDS) or name(live, self._scope) != node[1]:
            return False
        return {n for n, _ in node[2] if n.startswith("<")} == {n for n in self.parts(live) if n.startswith("<")}

    def parts(self, live: Any) -> dict[str, Any]:
        """What a live callable has captured."""
        return parts(live, self._scope)

    def find(self, wanted: str, parts: dict[str, Any], live: Any = None) -> Any:
        """A callable of that name and with these parts, or ``None``.

        It is ``live`` if that has the very same parts, or one of the user's modules, one of torch's, or a new
        closure, bound method or ``partial``.
        """
        if wanted == "partial" or "__self__" in parts:
            own = self.parts(live) if live is not None else {}
            if own.keys() == parts.keys() and all(_same_part(own[n], part) for n, part in parts.items()):
                return live
            if wanted != "partial":
                return _bound(parts["__self__"], wanted.partition(":")[2].rpartition(".")[2])
            func = parts.get("func")
            return functools.partial(func, *parts["args"], **parts["keywords"]) if callable(func) else None
        cells = {n[1:-1]: part for n, part in parts.items() if n.startswith("<")}
        if live is not None and all(
            self.parts(live).get(f"<{n}>") is cell or not isinstance(cell, types.CellType) for n, cell in cells.items()
        ):
            return live
        return self._by_name(wanted, cells)

    def _by_name(self, wanted: str, cells: dict[str, Any]) -> Any:
        module_name, _, qualname = wanted.partition(":")
        module = self._scope.modules.get(module_name)
        if module is not None:
            code = self._scope.find_code(wanted)
            found = _attribute(module, qualname)
            if found is not None and (code is None or found.__code__ is code) and not cells:
                return found
            return self._closure(module, code, cells)
        if module_name == "builtins" or qualname in _BUILTINS:
            return _BUILTINS.get(qualname)
        return library_function(wanted)

    def _closure(self, module: types.ModuleType, code: types.CodeType | None, cells: dict[str, Any]) -> Any:
        if code is None or any(not isinstance(cells.get(n), types.CellType) for n in code.co_freevars):
            return None
        closure = tuple(cells[name] for name in code.co_freevars)
        return types.FunctionType(code, module.__dict__, code.co_name, None, closure)


def library_function(wanted: str) -> Any:
    """The function of that name that computes with numbers: torch's, NumPy's, ``math``'s or ``operator``'s."""
    module_name, _, qualname = wanted.partition(":")
    root, last = module_name.partition(".")[0], qualname.rpartition(".")[2]
    if root not in ("torch", "numpy", "math", "operator", "_operator", "None"):
        return None
    places = (sys.modules.get(module_name), *_TORCH_NAMESPACES)
    for found in (*(vars(place).get(last) for place in places if place is not None), getattr(torch.Tensor, last, None)):
        if callable(found) and not isinstance(found, type) and plain_name(found) == wanted:
            return found
    return None


def plain_name(value: Any) -> str:
    """The name that a library gives a function."""
    return f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', type(value).__name__)}"


def _same_part(a: Any, b: Any) -> bool:
    """Whether two parts are one object, or containers of the same objects (a partial's are made anew when read)."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(operator.is_, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(a[key] is b[key] for key in a)
    return a is b


def _attribute(module: types.ModuleType, qualname: str) -> Any:
    target: Any = module
    for part in qualname.split("."):
        target = getattr(target, "__dict__", {}).get(part)
        if isinstance(target, (staticmethod, classmethod)):
            target = target.__func__
    return target if isinstance(target, types.FunctionType) else None


def _bound(owner: Any, name: str) -> Any:
    if isinstance(owner, type) and not isinstance(vars(owner).get(name), classmethod):
        return None
    function = getattr(type(owner), name, None)
    if isinstance(function, types.FunctionType):
        return types.MethodType(function, owner)
    if isinstance(owner, (*_CONTAINER_METHODS, type)) or type(owner).__module__ == "collections":
        return getattr(owner, name, None)
    return None


def is_like(value: Any) -> bool:
    """Whether this is a function in all but its class: a ufunc, a cached function, an ``itemgetter``, one of Cython.

    Being callable is not enough: a database connection is.
    """
    kind = type(value)
    packages = ("builtins", "functools", "operator", "_operator", "numpy", "torch")
    named_so = any(word in kind.__name__.lower() for word in ("function", "method"))
    return callable(value) and (named_so or kind.__module__.partition(".")[0] in packages)


def cell_full(cell: types.CellType) -> bool:
    """Whether a cell holds a value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
