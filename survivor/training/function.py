"""The child of ``@survivable``: run one function that the parent sent, send its value or its exception back.

Function and result travel as cloudpickle in two unnamed memory files that only these two processes
have. Nothing of them is ever in a store.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from typing import Any

import cloudpickle

from survivor import calling, pickling
from survivor.training import ending, program
from survivor.training.link import Link

#: The function that this process was started for, while it runs.
active: Any = None


class RemoteTraceback(Exception):
    """The traceback of the child, as text; the cause of the exception that the caller gets."""

    def __str__(self) -> str:
        """The text as it is."""
        return f"\n{self.args[0]}"


def run_function(link: Link) -> None:
    """Run the function of ``link.start`` under the engine.

    Raises:
        SystemExit: with code 1 when the function raised.
    """
    from survivor.training.child import run_under_engine

    start = link.start
    sys.path[:] = start.user_sys_path
    sys.argv = list(start.args)
    main = program.make_main(program.of_function(start.main_file))
    os.lseek(start.function_fd, 0, os.SEEK_SET)  # a child before us may have read it
    file = open(start.function_fd, "rb")  # noqa: SIM115 - read in two steps, and closed with the process
    around = pickle.load(file)
    calling.give_sources(around["sources"])
    # as a plain call would find it; a resumed one is set to what the first had
    calling.set_random_state(around["random"])

    def body(engine: Any) -> None:
        global active  # noqa: PLW0603 - one process, one function
        function, args, kwargs = cloudpickle.load(file)  # from our parent, over a private file
        active = function
        instrumented = engine.instrument_function(function)
        _fill_main(main, function)
        try:
            value = instrumented(*args, **kwargs)
        except Exception as error:
            ending.clean_chain(error)
            _send(start.result_fd, "error", error)
            raise _Sent(error) from None
        _send(start.result_fd, "value", value)

    try:
        run_under_engine(link, body)
    except _Sent as sent:
        link.failed(type(sent.error).__name__, str(sent.error), 1)
        raise SystemExit(1) from None


def _fill_main(main: Any, function: Any) -> None:
    """Make ``__main__`` hold what the function's own module holds: classes are looked up there by name."""
    namespace = getattr(getattr(function, "__func__", function), "__globals__", {})
    if namespace.get("__name__") == "__main__":
        vars(main).update({name: value for name, value in namespace.items() if not name.startswith("__")})


class _Sent(BaseException):
    """The function's own exception is on its way to the caller: print nothing here."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _send(fd: int, kind: str, value: Any) -> None:
    """Write the result; what can't be pickled becomes an exception that says so."""
    if kind == "error":
        text = "".join(traceback.format_exception(type(value), value, value.__traceback__))
        value.__cause__ = None
        packed = (kind, value.with_traceback(None), text)
    else:
        packed = (kind, value, "")
    state = calling.random_state()
    try:
        data = pickling.dumps((*packed, state))
    except Exception as problem:
        what = "return value" if kind == "value" else f"exception ({type(value).__name__}: {value})"
        error = TypeError(f"the {what} of the survivable function can't be sent to its caller: {problem}")
        data = pickling.dumps(("error", error, packed[2], state))
    os.ftruncate(fd, 0)  # a child before us may have written
    os.lseek(fd, 0, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
