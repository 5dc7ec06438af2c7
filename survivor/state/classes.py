"""Classes by name: of which a document may have an instance made.

What training makes anew (the batch of a library's class that is still held, a namedtuple, a distribution) has no
live object to be merged into, so an instance is made: through its class, without ``__init__``. A document comes from
a folder that others can write, so it may choose among these only:

- the user's own classes, and those of which the re-run script holds an instance already,
- torch's, and those of other installed packages that the script has loaded, if they have no ``__del__``,
- a few of the standard library that are plain values.

Things that don't work: any class that is loaded (a temporary file's closer runs what it is told when it is collected);
only classes with a live instance (the first batch is made by the loop that is restored).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from survivor.state.scope import Scope, class_name, find_class

_PLAIN = frozenset({"fractions:Fraction", "uuid:UUID", "statistics:NormalDist", "time:struct_time"})


def find(name: str, scope: Scope, alive: Iterable[Any]) -> type | None:
    """The class of that name if an instance of it may be made, else ``None``.

    Args:
        name: as `survivor.state.scope.class_name` gives it.
        scope: tells the user's classes.
        alive: objects that the re-run script holds.
    """
    known = _alive(name, alive)
    cls = find_class(name) or known
    if cls is None:
        return None
    allowed = name.startswith(("torch.", "torch:", "collections:")) or name in _PLAIN
    return cls if allowed or known is cls or scope.owns_class(cls) or _is_installed(cls) else None


def _alive(name: str, alive: Iterable[Any]) -> type | None:
    for each in alive:
        if class_name(type(each)) == name:
            return type(each)
        if isinstance(each, type) and class_name(each) == name:
            return each  # one that a function of the user's defines
    return None


def _is_installed(cls: type) -> bool:
    """Whether a class is an installed package's, and does nothing when an instance of it goes."""
    if any("__del__" in vars(base) for base in cls.__mro__):
        return False
    return _is_installed_package(cls.__module__.partition(".")[0])


def _is_installed_package(root: str) -> bool:
    spec = getattr(sys.modules.get(root), "__spec__", None)
    origin = getattr(spec, "origin", None) or ""
    places = [origin, *(getattr(spec, "submodule_search_locations", None) or ())]
    return any("/site-packages/" in f"{place}/" or "/dist-packages/" in f"{place}/" for place in places)


def tuple_items(value: tuple[Any, ...]) -> Iterable[Any]:
    """The items of a tuple of a class of its own; of one like ``os.stat_result`` those without a place too."""
    if not hasattr(type(value), "n_sequence_fields"):
        return tuple.__iter__(value)
    reduced: Any = value.__reduce__()
    return (*reduced[1][0], *reduced[1][1].values())


def new_tuple(cls: type, items: list[Any]) -> Any:
    """A tuple of that class; those that C code has defined want to make themselves."""
    if not cls.__flags__ & (1 << 9) or hasattr(cls, "n_sequence_fields"):
        return cls(items)
    return tuple.__new__(cls, items)
