"""Modules that training imports late, and the random numbers that some of them draw when they are imported.

A library may import another at the first call of one of its functions, and that may draw from Python's ``random`` (for
the start of a counter, say). The plain run does this once. A resumed run does it again, after the random number
generators were put back, since the module is not loaded in its process: so what was loaded at the checkpoint is
imported without leaving a trace in them.

A module of the user's own is imported beforehand, since its globals are state: `again`.

Things that don't work: importing the others beforehand (a document must not make anything be imported);
putting the generators back at every import (the plain run draws at the first one).
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from survivor.state import rng
from survivor.state.classes import names_module
from survivor.state.scope import Scope


def again(name: str, scope: Scope) -> ModuleType | None:
    """A module of the user's that only training imports, imported now; ``None`` if the script does not name it.

    A document's word is not enough: the user's own code has to import it, and it has to be the user's own file.
    """
    words = name.split(".")
    if not any(names_module(code, words) for code in list(scope.codes.values())):
        return None
    try:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not scope.owns_file(spec.origin):
            return None
        return importlib.import_module(name)
    except ImportError:
        return None


class Imports(importlib.abc.MetaPathFinder):
    """What was imported since the first loop's head, in this session and those before."""

    def __init__(self) -> None:
        self._set_up: set[str] | None = None
        self._late: set[str] = set()
        self._seen = 0
        self._quiet: set[str] = set()

    def names(self) -> list[str]:
        """The modules that are loaded, without those that the set-up had loaded."""
        if self._set_up is None:
            self._set_up = set(sys.modules)
        if len(sys.modules) != self._seen:
            self._seen = len(sys.modules)
            late = set(sys.modules) - self._set_up
            self._late |= {name for name in late if name.partition(".")[0] != "survivor"}
        return sorted(self._late)

    def expect(self, names: Iterable[str]) -> None:
        """These were loaded where the state was taken: their import draws no random numbers any more."""
        self._set_up = set(sys.modules)
        self._late |= {str(name) for name in names}
        self._quiet = self._late - self._set_up
        if self._quiet and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What the other finders say, with a loader that puts the random number generators back."""
        if fullname not in self._quiet:
            return None
        self._quiet.discard(fullname)
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                _hush(spec.loader)
                return spec
        return None


def _hush(loader: Any) -> None:
    original = getattr(loader, "exec_module", None)
    if original is not None and hasattr(loader, "__dict__") and not isinstance(loader, type):
        loader.exec_module = functools.partial(_quietly, loader, original)


def _quietly(loader: Any, original: Callable[[ModuleType], None], module: ModuleType) -> None:
    del loader.exec_module
    state = rng.read_all()
    try:
        original(module)
    finally:
        rng.write_all(state)
