"""Training outside of every loop that is watched: where it is, and what kind of place that is, in words."""

from __future__ import annotations

import dis
import os
import threading
from collections.abc import Iterator
from types import CodeType, FrameType

_COMPREHENSIONS = {
    "<listcomp>": "a comprehension",
    "<setcomp>": "a comprehension",
    "<dictcomp>": "a comprehension",
    "<genexpr>": "a generator expression",
}
_INSTALLED = ("site-packages", "dist-packages")
#: They are on the way to a backward pass from everywhere.
_ON_THE_WAY = frozenset({"torch", "survivor"})


def place(frame: FrameType, files: set[str]) -> str:
    """Where in the user's source, and in what construct, the call that ``frame`` runs under stands."""
    stack = list(_outwards(frame))
    users = [each for each in stack if each.f_code.co_filename in files]
    construct, at = _construct(stack, users)
    return f"{construct}, at {os.path.basename(at.f_code.co_filename)}:{at.f_lineno}" if at is not None else construct


def _construct(stack: list[FrameType], users: list[FrameType]) -> tuple[str, FrameType | None]:
    first = users[0] if users else None
    if threading.current_thread() is not threading.main_thread():
        return f"in the thread {threading.current_thread().name}", first
    for each in users:
        code = each.f_code
        if code.co_name in _COMPREHENSIONS:
            return f"in {_COMPREHENSIONS[code.co_name]}", each
        if _calls_itself(code):
            return f"in {code.co_name}, which calls itself", each
    packages = [package for each in stack if (package := _package(each.f_code.co_filename)) not in _ON_THE_WAY | {""}]
    return f"in the installed package {packages[-1]}" if packages else "in no loop", first


def _calls_itself(code: CodeType) -> bool:
    by_name = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
    return any(each.argval == code.co_name and each.opname in by_name for each in dis.get_instructions(code))


def _package(filename: str) -> str:
    parts = filename.split(os.sep)
    found = [i for i, part in enumerate(parts) if part in _INSTALLED]
    return parts[found[-1] + 1].removesuffix(".py") if found and found[-1] + 1 < len(parts) else ""


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
