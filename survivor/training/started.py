"""Processes that the script starts for functions of its own: what they train is not seen, and the user is told so.

``mp.spawn(train, nprocs=1)`` is how scripts that could use several devices run on one. Only the process that survivor
has started is watched, so such a script is done from its beginning after a kill.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from multiprocessing import process
from typing import Any

from survivor.state.scope import Scope


def install(scope: Scope, warn: Callable[[str], None]) -> None:
    """From now on, say once that a process is started which may train."""
    original: Any = process.BaseProcess.start
    told: list[str] = []

    @functools.wraps(original)
    def start(self: Any) -> Any:
        name = _users_function(self, scope)
        if name and not self.daemon and not told:
            told.append(name)
            warn(
                f"{name} is run in a process of its own: what is trained there is not seen and not saved; with one "
                "process, call the function itself"
            )
        return original(self)

    process.BaseProcess.start = start  # type: ignore[method-assign]


def _users_function(started: Any, scope: Scope) -> str:
    """The name of the user's function, or class, that a process is to run; empty if it is a library's."""
    if scope.owns_class(type(started)):
        return type(started).__name__
    target = getattr(started, "_target", None)
    for each in (target, *getattr(started, "_args", ())):  # torch's spawn hands the function to one of its own
        code = getattr(getattr(each, "__func__", each), "__code__", None)
        if code is not None and code.co_filename in scope.files:
            return str(code.co_name)
    return ""
