"""Attributes that the script sets on installed modules, on their classes, and on objects that they hold.

``somelib.config.lr = 0.1`` in the midst of training changes what nothing of the user's own holds. The
source tells which attributes may be set so: those that it assigns to below a name that it imports. Plain data,
tensors and arrays are carried; functions and other objects are left to re-execution.

A document can set nothing else: of the names in it only those count that the source assigns to.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from survivor.state import atoms

_CONTAINERS = (list, tuple, set, frozenset, dict)
_PLAIN = (torch.Tensor, np.ndarray, np.generic, torch.dtype, torch.device, enum.Enum)
_MOST_ITEMS = 10_000
_DEEPEST = 6
#: What belongs to this process, or to this machine.
_LEFT_OUT = frozenset({"sys", "os", "builtins", "__main__", "survivor"})
_MISSING: Any = object()


class Foreign:
    """The attributes that the user's modules may set on others, as ``module:attribute.attribute``."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def note(self, tree: ast.Module) -> None:
        """Add what a module of the user's assigns to."""
        imported = dict(_imports(tree))
        for path in _assigned(tree):
            root, *rest = path
            if root in imported:
                module, *first = imported[root]
                if module.partition(".")[0] not in _LEFT_OUT:
                    self._names[f"{module}:{'.'.join([*first, *rest])}"] = None

    def read(self, own: Iterable[str]) -> dict[str, Any]:
        """Their values, where they are set and can be carried; ``own`` are the user's modules, which are left out."""
        found: dict[str, Any] = {}
        own = frozenset(own)
        for name in self._names:
            base, attribute = _base(name, own)
            value = _get(base, attribute) if base is not None else _MISSING
            if value is not _MISSING and _is_plain(value):
                found[name] = value
        return found

    def write(self, values: dict[str, Any], own: Iterable[str]) -> None:
        """Set those that are others than these."""
        own = frozenset(own)
        for name, value in values.items():
            base, attribute = _base(name, own) if name in self._names else (None, "")
            if base is None:
                continue
            current = _get(base, attribute)
            if current is value or (atoms.is_atom(value) and atoms.same(current, value)):
                continue
            with contextlib.suppress(AttributeError, TypeError):
                setattr(base, attribute, value)


def _imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names that a module imports, anywhere in it: what each stands for, as a module and attributes of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or module, (module,)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """``a.b.c`` for each attribute that is assigned to, or set by ``setattr`` under a constant name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            path = _dotted(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            named = len(node.args) == 3 and isinstance(node.args[1], ast.Constant) and str(node.args[1].value)
            path = (*_dotted(node.args[0]), str(named)) if named and _dotted(node.args[0]) else ()
        else:
            continue
        if path:
            yield path


def _dotted(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    below = _dotted(node.value) if isinstance(node, ast.Attribute) else ()
    return (*below, node.attr) if isinstance(node, ast.Attribute) and below else ()


def _base(name: str, own: frozenset[str]) -> tuple[Any, str]:
    """The object that an attribute of this name is set on, and the attribute; None if there is none, or it is own."""
    module_name, _, path = name.partition(":")
    base: Any = sys.modules.get(module_name)
    *between, attribute = path.split(".")
    for part in between:
        where = getattr(base, "__name__", "")
        held = vars(base).get(part, sys.modules.get(f"{where}.{part}")) if hasattr(base, "__dict__") else None
        base = held
    if isinstance(base, type(sys)) and base.__name__ in own:
        return None, ""
    if type(base).__module__ in own or getattr(base, "__module__", None) in own:
        return None, ""  # the user's own class or object: it is reached from elsewhere
    return base, attribute


def _get(base: Any, attribute: str) -> Any:
    try:
        return getattr(base, attribute, _MISSING)
    except Exception:  # a property of a library's may raise anything
        return _MISSING


def _is_plain(value: Any, depth: int = 0) -> bool:
    if atoms.is_atom(value) or isinstance(value, _PLAIN):
        return not (isinstance(value, np.ndarray) and value.dtype.hasobject)
    if type(value) not in _CONTAINERS or depth > _DEEPEST or len(value) > _MOST_ITEMS:
        return False
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return all(_is_plain(item, depth + 1) for item in items)
