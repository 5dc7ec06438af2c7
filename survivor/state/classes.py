"""Classes by name: of which a document may have an instance made.

What training makes anew (the batch of a library's class that is still held, a namedtuple, a distribution) has no
live object to be merged into, so an instance is made: through its class, without ``__init__``. A document comes from
a folder that others can write, so it may choose among these only:

- the user's own classes, and those of which the re-run script holds an instance already,
- torch's, and those of other packages that the script imports, if they have no ``__del__``,
- a few of the standard library that are plain values.

Things that don't work: any class that is loaded (a temporary file's closer runs what it is told when it is collected);
only classes with a live instance (the first batch is made by the loop that is restored).
"""

from __future__ import annotations

import dis
import enum
import importlib
import sys
from collections.abc import Iterable
from types import CodeType
from typing import Any

from survivor.state import atoms
from survivor.state.scope import Scope, class_name, find_class

_PLAIN = frozenset({"statistics:NormalDist", "time:struct_time"})

#: What a class may make a number or a string of its own of.
PLAIN_BASES = (int, float, complex, str, bytes)


def find(name: str, scope: Scope, alive: Iterable[Any]) -> type | None:
    """The class of that name if an instance of it may be made, else ``None``.

    Args:
        name: as `survivor.state.scope.class_name` gives it.
        scope: tells the user's classes.
        alive: objects that the re-run script holds.
    """
    known = _alive(name, alive)
    cls = find_class(name) or known or _late(name, scope)
    if cls is None:
        return None
    allowed = name.startswith(("torch.", "torch:", "collections:")) or name in _PLAIN
    return cls if allowed or known is cls or scope.owns_class(cls) or _is_library(cls) else None


def _alive(name: str, alive: Iterable[Any]) -> type | None:
    for each in alive:
        if class_name(type(each)) == name:
            return type(each)
        if isinstance(each, type) and class_name(each) == name:
            return each  # one that a function of the user's defines
    return None


def _late(name: str, scope: Scope) -> type | None:
    """A class of a package that only the loop imports: the user's own code has to name that package."""
    module = name.partition(":")[0]
    root = module.partition(".")[0]
    if module in sys.modules or not any(names_module(code, [root]) for code in list(scope.codes.values())):
        return None
    if not _is_package(root):
        return None
    try:
        importlib.import_module(module)
    except ImportError:
        return None
    return find_class(name)


def names_module(code: CodeType, words: list[str]) -> bool:
    """Whether a code, or one in it, may import a module: whole, or the last word of it from the rest."""
    imports = {each.argval for each in dis.get_instructions(code) if each.opname in ("IMPORT_NAME", "IMPORT_FROM")}
    if ".".join(words) in imports or words[-1] in imports:
        return True
    if len(words) == 1 and any(each.startswith(f"{words[0]}.") for each in imports):
        return True
    return any(names_module(each, words) for each in code.co_consts if isinstance(each, CodeType))


def is_enum(cls: type) -> bool:
    """Whether the values of a class are named constants: an ``enum``, or what C++ code of torch's has for one."""
    return issubclass(cls, enum.Enum) or (
        type(cls).__name__ == "pybind11_type" and isinstance(getattr(cls, "__members__", None), dict)
    )


def enum_name(cls: type) -> str:
    """The name by which a document finds a class of constants; torch shows some of C++ in another place."""
    hidden = f"torch._C:{cls.__qualname__}"
    return hidden if find_class(hidden) is cls else class_name(cls)


def attributes_of_member(member: enum.Enum) -> dict[str, Any]:
    """What a named constant holds beside its name and its value."""
    return {name: item for name, item in vars(member).items() if not (name.startswith("_") and name.endswith("_"))}


def _is_library(cls: type) -> bool:
    """Whether a class is a library's, and does nothing when an instance of it goes."""
    if any("__del__" in vars(base) for base in cls.__mro__):
        return False
    return _is_package(cls.__module__.partition(".")[0])


def _is_package(root: str) -> bool:
    """Whether a top-level module is a library's, and neither Python's own nor survivor's."""
    return root not in sys.stdlib_module_names and root not in ("survivor", "builtins", "__main__")


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


def plain_part(value: Any) -> Any:
    """A number or string without its class, as a document writes it."""
    if isinstance(value, str):
        return atoms.encode_atom(str.__str__(value))
    if isinstance(value, bytes):
        return atoms.encode_atom(bytes.__getitem__(value, slice(None)))
    base: Any = next(each for each in (int, float, complex) if isinstance(value, each))
    return atoms.encode_atom(base.__pos__(value))  # not base(value), which asks the class


def new_plain(cls: Any, part: Any) -> Any:
    """The same with its class again."""
    value = atoms.decode_atom(part)
    return next(each for each in PLAIN_BASES if isinstance(value, each)).__new__(cls, value)
