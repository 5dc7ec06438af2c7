"""Exceptions: an object that a variable holds, or the one that a training loop was left by.

An exception is made again by its builtin base alone, past whatever its own class would do; then it gets its
arguments, the fields that the base keeps in C (``OSError.filename``), its attributes, its cause and its context.
A traceback can't be carried: its frames are gone.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from survivor.state.scope import attributes_of, class_name, find_class, slot_names

_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
#: Given when the exception is made, or no more than a way to look at it.
_GIVEN = frozenset({"args", "message", "exceptions", "characters_written"})
#: What stood at hand when the name was not found: any object at all, and only looked at for a hint.
_AT_HAND = frozenset({"obj"})
_POINTER = 8


def why_not(error: BaseException) -> str:
    """Why an exception of this class can't be made again; "" if it can."""
    kind = type(error)
    if find_class(class_name(kind)) is not kind:
        return "its class is made inside a function"
    base = _base(kind)
    # a dict is in the base's size; a class statement may add slots and room for weak references
    if kind.__basicsize__ > base.__basicsize__ + _POINTER * (1 + len(slot_names(kind))):
        return "its class keeps something in C"
    return ""


def parts(error: BaseException) -> dict[str, Any] | None:
    """What is carried of an exception; ``None`` if it can't be made again."""
    if why_not(error):
        return None
    context = error.__context__
    return {
        "args": error.args,
        "fields": {name: held for name in _fields(type(error)) if (held := getattr(error, name, None)) is not None},
        "attributes": attributes_of(error),
        "cause": error.__cause__,
        # shown below a traceback, and looked at by nobody else
        "context": context if context is not None and not why_not(context) else None,
        "suppress": error.__suppress_context__,
    }


def new(name: str, args: Callable[[], tuple[Any, ...]]) -> BaseException | None:
    """An empty exception of a class that is loaded; only a group needs its arguments at once."""
    kind = find_class(name)
    if kind is None or not issubclass(kind, BaseException):
        return None
    base = _base(kind)
    made: BaseException = base.__new__(kind, *(args() if base.__name__.endswith("Group") else ()))
    return made


def fill(error: BaseException, held: dict[str, Any]) -> None:
    """Give an exception what `parts` had found, and could be restored."""
    error.args = tuple(held["args"])
    for name, value in held["fields"].items():
        setattr(error, name, value)
    for name, value in held["attributes"].items():
        object.__setattr__(error, name, value)
    error.__cause__, error.__context__ = held.get("cause"), held.get("context")
    error.__suppress_context__ = held["suppress"]


def _base(kind: type) -> type[BaseException]:
    """The builtin class that lays out its instances."""
    base: Any = kind
    while base.__module__ != "builtins":
        base = base.__base__
    return base  # type: ignore[no-any-return]


def _fields(kind: type) -> list[str]:
    return [
        name
        for base in kind.__mro__
        if base.__module__ == "builtins"
        for name, member in vars(base).items()
        if isinstance(member, _DESCRIPTORS) and not name.startswith("__") and name not in _GIVEN | _AT_HAND
    ]
