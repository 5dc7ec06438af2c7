"""The child process: set up the engine, run the user's program as ``__main__``, report how it ended."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from survivor.channel import Start
from survivor.collecting import paused
from survivor.errors import SurvivorError, UsageError
from survivor.shield import shield_process, show_stacks_on_demand, unblock
from survivor.training import carry, early, ending, inputs, output, program, surroundings
from survivor.training.link import Link
from survivor.training.output import Output
from survivor.training.storage import Storage, ready_message

#: Keeps the first ``__main__`` alive: a module that is collected clears the globals of its functions.
_first_main: list[Any] = [sys.modules["__main__"]]

#: Set in a process that trains under survivor, and in its forks; 0 elsewhere.
active_pid = 0


def main(channel_fd: int) -> None:
    """Run the child; what the parent wants arrives as the first message on the channel.

    Returns or raises SystemExit when the program has ended, so that the interpreter's own end
    (non-daemon threads, exit handlers, flushing) follows as under ``python``.
    """
    global active_pid  # noqa: PLW0603 - one process, one state
    active_pid = os.getpid()
    shield_process()
    show_stacks_on_demand()
    link = Link(channel_fd)
    surroundings.set_variables(link.start.environment)
    output.redirect(link.start.out_fd, link.start.err_fd)
    Output(link.start.output_fd, link.start.shown).install(unbuffered=link.start.out_fd >= 0)
    unblock(link.start.unblock)
    if link.start.hide_hash_seed:
        hide_hash_seed()
    if link.start.kind == "function":
        from survivor.training.function import run_function

        run_function(link)
    else:
        run_program(link)


def hide_hash_seed() -> None:
    """Take ``PYTHONHASHSEED`` out of ``os.environ``, but not out of the C environment.

    The program sees the environment that the user gave it, and the processes it starts (spawned
    loader workers above all) still hash strings as it does.
    """
    environ: Any = os.environ
    environ._data.pop(environ.encodekey("PYTHONHASHSEED"), None)


def run_program(link: Link) -> None:
    """Run a script or module under the engine and tell the parent how it ended.

    Raises:
        SystemExit: with the exit code that ``python`` would have given.
    """
    start = link.start
    sys.orig_argv = [
        sys.executable,
        *(("-m",) if start.kind == "module" else ()),
        start.target,
        *start.args,
    ]
    sys.argv = ["-m" if start.kind == "module" else start.target, *start.args]
    program.set_path(_root(start))
    if start.kind == "script":
        with contextlib.suppress(UsageError):  # shown when the engine stands
            early.set_environment(program.find_script(start.target).source)

    def run(engine: Any) -> None:
        find = program.find_module if start.kind == "module" else program.find_script
        found = find(start.target)
        main = program.make_main(found)
        sys.argv[0] = found.argv0
        try:
            code = engine.compile(found.source, found.filename, "__main__")
        except SyntaxError as error:
            # shown as python shows it: the line of the program, no frames of who compiled it
            raise error.with_traceback(None)  # noqa: B904
        exec(code, main.__dict__)  # noqa: S102

    run_under_engine(link, run)


def run_under_engine(link: Link, body: Callable[[Any], None]) -> None:
    """Run ``body(engine)`` with everything that stands around a user's code.

    Raises:
        SystemExit: the code of a program that failed or ended by ``sys.exit``.
    """
    try:
        engine = _begin(link)
        try:
            body(engine)
        except SystemExit as error:
            if ending.exit_code_of(error) == 0:
                _finish(link, engine)
            else:
                _tell_failed(link, error, ending.exit_code_of(error))
            raise
        _finish(link, engine)
    except SurvivorError as error:
        link.refuse(error)
    except Exception as error:
        ending.clean_chain(error)
        _tell_failed(link, error, 1)
        ending.report_exception(error)
        raise SystemExit(1) from None
    except KeyboardInterrupt as error:
        ending.clean_chain(error)
        _tell_failed(link, error, 130)
        ending.report_exception(error)
        raise SystemExit(130) from None


def settings_of(start: Start) -> Any:
    """The engine's settings, as the parent sent them."""
    from survivor.training.settings import Settings

    return Settings(
        every_s=start.every_s,
        overhead=start.overhead,
        allow_partial=start.allow_partial,
        ignore=start.ignore,
        accept_changes=start.accept_changes,
        keep_best=start.keep_best,
    )


def _root(start: Start) -> Path:
    if start.root:
        return Path(os.path.realpath(start.root))
    scripts = {"script": start.target, "module": "", "function": start.main_file}
    return program.user_root(scripts[start.kind])


def _begin(link: Link) -> Any:
    """Open the job, read its newest checkpoint, and hand both to a new engine."""
    with paused():  # torch comes along
        from survivor.training.engine import Engine

    start = link.start
    storage = Storage(start)
    link.set_saver(storage)
    surroundings.begin(start.deterministic)
    carry.configure(start.carry, enabled=not start.no_carry)
    engine = Engine(link, settings_of(start), _root(start))
    link.listen(engine.request_stop)
    checkpoint = storage.newest(link.warn)
    transcript = output.current()
    if checkpoint is not None and transcript is not None:
        transcript.restore(checkpoint.document, checkpoint.blobs())
    if checkpoint is not None:
        surroundings.settle(checkpoint.document.get("surroundings"), start.on_drift, link.warn)
    link.ready(ready_message(checkpoint))
    inputs.begin()
    engine.install_import_hook()
    engine.begin(checkpoint)
    return engine


def _finish(link: Link, engine: Any) -> None:
    if not link.is_forked:  # a fork of the program that ran to its end is not the program's end
        engine.finish()
        link.finished()


def _tell_failed(link: Link, error: BaseException, exit_code: int) -> None:
    text = str(error.code) if isinstance(error, SystemExit) else str(error)
    link.failed(type(error).__name__, text, exit_code)
