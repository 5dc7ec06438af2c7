"""Functions in a document: matched with those that the re-run script has, never looked up to be called.

A document names a function; the re-run provides its code. What a function has captured (cells, a bound
``self``, the parts of a ``partial``) is state and is carried. A closure that the re-run has not made yet
is built from the code of the user's own module and the carried cells.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

from survivor.state.scope import Scope

_TORCH_NAMESPACES = (torch.nn.functional, torch, torch.nn.init, torch.special, torch.linalg)
_BUILTINS: dict[str, Any] = {f.__name__: f for f in (abs, max, min, sum, len, sorted, all, any, round, pow, iter, next)}
_CONTAINER_METHODS = (list, dict, set, tuple)


class Library:
    """Finds functions for the names in a document."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def same(self, node: list[Any], live: Any) -> bool:
        """Whether a live callable can stand for a function node."""
        from survivor.state.encode import _FUNCTIONS, function_name

        if not isinstance(live, _FUNCTIONS) or function_name(live) != node[1]:
            return False
        return {n for n, _ in node[2] if n.startswith("<")} == {n for n in self.parts(live) if n.startswith("<")}

    @staticmethod
    def parts(live: Any) -> dict[str, Any]:
        """What a callable has captured, under the names that a node uses."""
        if isinstance(live, types.FunctionType):
            cells = zip(live.__code__.co_freevars, live.__closure__ or (), strict=False)
            found: dict[str, Any] = {f"<{name}>": cell for name, cell in cells}
            if live.__dict__:
                found["__dict__"] = live.__dict__
            defaults = [d for d in live.__defaults__ or () if isinstance(d, (list, dict, set))]
            if defaults:
                found["__defaults__"] = defaults
            return found
        if isinstance(live, functools.partial):
            return {"func": live.func, "args": live.args, "keywords": live.keywords}
        owner = getattr(live, "__self__", None)
        return {} if owner is None or isinstance(owner, types.ModuleType) else {"__self__": owner}

    def find(self, name: str, cells: dict[str, Any], parts: dict[str, Any]) -> Any:
        """A callable of that name, or ``None``: from the user's modules, torch's functions, or a bound method."""
        if name == "partial":
            func = parts.get("func")
            return functools.partial(func, *parts["args"], **parts["keywords"]) if callable(func) else None
        module_name, _, qualname = name.partition(":")
        if "__self__" in parts:
            return _bound(parts["__self__"], qualname.rpartition(".")[2])
        module = self._scope.modules.get(module_name)
        if module is not None:
            return _attribute(module, qualname) or self._closure(module, qualname, cells)
        if module_name == "builtins" or qualname in _BUILTINS:
            return _BUILTINS.get(qualname)
        if module_name.partition(".")[0] in ("torch", "None"):
            for namespace in _TORCH_NAMESPACES:
                found = namespace.__dict__.get(qualname)
                if isinstance(found, (types.FunctionType, types.BuiltinFunctionType)):
                    return found
        return None

    def _closure(self, module: types.ModuleType, qualname: str, cells: dict[str, Any]) -> Any:
        code = self._scope.find_code(module.__name__, qualname)
        if code is None or any(not isinstance(cells.get(n), types.CellType) for n in code.co_freevars):
            return None
        closure = tuple(cells[name] for name in code.co_freevars)
        made = types.FunctionType(code, module.__dict__, code.co_name, None, closure)
        made.__qualname__ = qualname
        return made


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


def cell_full(cell: types.CellType) -> bool:
    """Whether a cell holds a value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def copy_cell(source: types.CellType, target: Any) -> None:
    """Give a live closure's cell the content of a restored one (a closure's cells can't be exchanged)."""
    if isinstance(target, types.CellType) and cell_full(source):
        target.cell_contents = source.cell_contents
