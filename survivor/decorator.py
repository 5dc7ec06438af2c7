"""``@survivable``: a training function that runs in a supervised child and continues where it was left.

A thin door: it pickles the function, opens a job and runs the same session as ``survivor run``.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, ParamSpec, TypeVar, overload

from survivor.errors import EXIT_SAVED, SurvivorError, UsageError

P = ParamSpec("P")
R = TypeVar("R")
#: What `survivable` takes; a wrong name is told where it stands, and not at the first call.
_OPTIONS = (
    "store job every grace time_limit fresh accept_changes allow_partial ignore keep keep_hourly keep_best carry "
    "no_carry deterministic on_drift wait take_over max_restarts quiet"
).split()


@overload
def survivable(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def survivable(
    *,
    store: str | os.PathLike[str] | None = None,
    job: str | None = None,
    every: float = 30.0,
    grace: float = 30.0,
    time_limit: float | None = None,
    fresh: bool = False,
    accept_changes: bool = False,
    allow_partial: bool = False,
    ignore: tuple[str, ...] = (),
    keep: int = 3,
    keep_hourly: int = 24,
    keep_best: tuple[str, ...] = (),
    carry: tuple[str, ...] = (),
    no_carry: bool = False,
    deterministic: bool = False,
    on_drift: Literal["warn", "error", "ignore"] = "warn",
    wait: bool = False,
    take_over: bool = False,
    max_restarts: int = 3,
    quiet: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def survivable(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Let calls of ``function`` survive being killed.

    A call runs the function in a child process under a supervisor. It returns the function's value and
    raises its exception. If the process is killed, the same call in a later process continues where
    training stopped. Inside a process that survivor runs already, a call is a plain call.

    Args:
        function: the training function; module-level or local.
        store: folder or URL of the job folders; ``$SURVIVOR_STORE`` by default, in Colab the mounted Drive, in
            Kaggle ``/kaggle/working``, and ``survivor-jobs`` elsewhere.
        job: name of the job; the function's name by default.
        every: seconds between checkpoints.
        grace: seconds from a signal to the end.
        time_limit: seconds after which the call saves and ends.
        fresh: start over; the old job folder is set aside.
        accept_changes: go on although the arguments or the function have changed.
        allow_partial: go on although some objects can't be saved.
        ignore: names of variables that are not saved.
        keep: so many of the newest checkpoints are kept.
        keep_hourly: the newest of each of so many hours too.
        keep_best: and for each ``min:NAME`` or ``max:NAME`` the one with the best metric given to ``report``.
        carry: patterns of files that the function writes, carried with the checkpoints whatever their size.
        no_carry: carry no files.
        deterministic: let torch use only deterministic algorithms.
        on_drift: what to do when the environment has changed since the last session.
        wait: wait while another session runs the job.
        take_over: take the job from a session that still runs it.
        max_restarts: restarts in a row without progress.
        quiet: print only warnings and errors.

    A call raises:
        SurvivorError: the job could not be run, by the class that says why.
        KeyboardInterrupt: stopped by SIGINT; everything is saved.
        SystemExit: with code 75, stopped by another signal; everything is saved.
    """
    wrong = [name for name in options if name not in _OPTIONS]
    if wrong:
        raise _told(UsageError(f"@survivable has no option {wrong[0]!r}", advice=f"it has {', '.join(_OPTIONS)}"))
    if function is None:
        return functools.partial(_wrap, options=options)
    return _wrap(function, options=options)


def inside_child() -> bool:
    """Whether this process trains under survivor already."""
    child = sys.modules.get("survivor.training.child")
    return bool(child is not None and child.active_pid)


def _wrap(function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    _refuse_what_is_no_call(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if inside_child():
            _refuse_recursion(function)
            return function(*args, **kwargs)
        try:
            result: R = run_call(function, args, kwargs, options)
        except SurvivorError as error:
            # what happened and what to do, and not the way through survivor to it
            raise _told(error).with_traceback(None) from None
        return result

    return call


def _told(error: SurvivorError) -> SurvivorError:
    """The error with its advice, which Python shows below it."""
    if error.advice and hasattr(error, "add_note"):
        error.add_note(error.advice)
    elif error.advice:  # before Python 3.11
        error.args = (f"{error}\n{error.advice}",)
    return error


def _refuse_what_is_no_call(function: Any) -> None:
    """Raise ``UsageError`` for what has no value to return when it is called."""
    name = getattr(function, "__name__", repr(function))
    target = inspect.unwrap(getattr(function, "func", function)) if callable(function) else None
    if target is None or inspect.isclass(target):
        raise _told(UsageError(f"{name} is no function", advice="put @survivable above a function, or a method"))
    kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if any(is_kind(target) for is_kind in kinds):
        advice = f"put @survivable above a plain function that runs {name}() to its end"
        what = f"{name}() is a generator or a coroutine, which can't be run in another process"
        raise _told(UsageError(what, advice=advice))


def _refuse_recursion(function: Callable[..., Any]) -> None:
    running = sys.modules.get("survivor.training.function")
    if running is not None and running.active is function:
        name = getattr(function, "__name__", "the function")
        raise UsageError(
            f"{name}() is survivable and calls itself: two calls can't be one job",
            advice=f"move what calls itself into a function of its own, and let {name}() call that",
        )


def run_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
    words: tuple[str, ...] | None = None,
) -> Any:
    """One call: a session of the function's job.

    Args:
        function: what is called.
        args: its positional arguments.
        kwargs: its keyword arguments.
        options: as `survivable` takes them.
        words: what tells one call from another; made from the arguments by default.

    Raises:
        SurvivorError, KeyboardInterrupt, SystemExit: as `survivable` says; or the function's own exception.
    """
    from survivor import calling
    from survivor.notebook import NotebookConsole, Relay, in_notebook
    from survivor.supervisor.console import Console

    settings = _settings(function, tuple(calling.words(function, args, kwargs)) if words is None else words, options)
    call = calling.pack(function, args, kwargs)
    if not in_notebook():
        return _result(*_run(function, call, settings, Console(quiet=settings.quiet)))
    console = NotebookConsole(quiet=settings.quiet)
    with Relay() as relay:
        ended = _run(function, call, settings, console, hook=console.line.hear, streams=relay.fds)
    return _result(*ended, notebook=True)


def _run(
    function: Callable[..., Any],
    payload: bytes,
    settings: Any,
    console: Any,
    *,
    hook: Callable[[Any], None] = lambda _: None,
    streams: Sequence[int] = (-1, -1),
) -> tuple[Any, Any, bytes]:
    """Run a session; returns it, its verdict, and the pickled result, which may be empty."""
    from survivor.supervisor.places import Place
    from survivor.supervisor.run import close, open_session
    from survivor.supervisor.signals import SignalInbox

    with (
        SignalInbox() as inbox,
        _memory_file("survivor-call", payload) as call,
        _memory_file("survivor-result", b"") as result,
    ):
        opened = open_session(settings, _source(function), console, inbox, hook)
        assert opened is not None, "a function's job is never too finished to be called"
        session = opened
        session.start = replace(
            session.start,
            args=tuple(sys.argv),
            function_fd=call.fileno(),
            result_fd=result.fileno(),
            out_fd=streams[0],
            err_fd=streams[1],
            user_sys_path=tuple(sys.path),
            main_file=getattr(sys.modules["__main__"], "__file__", None) or "",
        )
        session.fds += (call.fileno(), result.fileno(), *(fd for fd in streams if fd >= 0))
        verdict = session.run(inbox)
        close(verdict, session, console)
        if verdict.kind == "saved":
            for line in Place().parting(settings.store):
                console.warn(line)
        result.seek(0)
        return session, verdict, result.read()


def _result(session: Any, verdict: Any, data: bytes, *, notebook: bool = False) -> Any:
    """What the call returns, or raises."""
    if verdict.kind == "saved":
        if notebook:
            from survivor.notebook import StoppedAndSaved

            raise StoppedAndSaved(f"stopped ({session.stop_reason}); run the cell again to go on")
        raise KeyboardInterrupt if session.stop_reason == signal.SIGINT.name else SystemExit(EXIT_SAVED)
    error = session.error(verdict)
    if data and (verdict.kind == "finished" or error is None):
        import cloudpickle

        return _unpack(*cloudpickle.loads(data))  # from our child, over a private file
    # the function called sys.exit()
    raise error or SystemExit(verdict.exit_code)


def _unpack(kind: str, value: Any, text: str, random_state: dict[str, Any]) -> Any:
    from survivor import calling

    calling.set_random_state(random_state)  # as a plain call would have left it
    if kind == "value":
        return value
    from survivor.training.function import RemoteTraceback

    raise value from RemoteTraceback(text)


def _settings(function: Callable[..., Any], words: tuple[str, ...], options: dict[str, Any]) -> Any:
    from survivor.supervisor.options import RunOptions, job_name_of
    from survivor.supervisor.places import default_store

    given = dict(options)
    named = inspect.unwrap(getattr(function, "func", function))  # of a functools.partial
    name = f"{named.__module__}.{named.__qualname__}"
    store = given.pop("store", None) or default_store()
    return RunOptions(
        kind="function",
        target=name,
        args=words,
        store=os.fspath(store),
        job=given.pop("job", None) or job_name_of("function", name),
        command=f"the same call of {named.__name__}()",
        every_s=given.pop("every", 30.0),
        grace_s=given.pop("grace", 30.0),
        time_limit_s=given.pop("time_limit", None),
        **given,
    )


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(getattr(function, "func", function))
    except (OSError, TypeError):
        return ""


def _memory_file(name: str, data: bytes) -> Any:
    file = open(os.memfd_create(name), "w+b", buffering=0)  # noqa: SIM115 - the caller's with-block closes it
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file
