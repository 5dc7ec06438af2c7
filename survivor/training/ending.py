"""How the user's program ended: tracebacks that show the user's frames, exit codes, flushed files."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import os
import sys
import traceback
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OUTPUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "output.py")


def user_traceback(tb: TracebackType | None) -> TracebackType | None:
    """``tb`` without the frames of survivor that lie above or between the user's.

    Frames of ours at the very end stay: then the fault is our own and must be seen. Those of standard output go: there
    it is the pipe's or the disk's.
    """
    entries = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    last_foreign = max((i for i, entry in enumerate(entries) if not _is_ours(entry)), default=-1)
    kept = [e for i, e in enumerate(entries) if not _is_ours(e) or (i > last_foreign and not _is_output(e))]
    result: TracebackType | None = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


def _is_output(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename == _OUTPUT


def hide_ours(error: BaseException) -> None:
    """Cut survivor's frames out of an exception that the program may catch, if there are any."""
    entry = error.__traceback__
    while entry is not None:
        if _is_ours(entry):
            error.__traceback__ = user_traceback(error.__traceback__)
            return
        entry = entry.tb_next


def clean_chain(error: BaseException) -> None:
    """Cut survivor's frames out of an exception and of all that it was raised from."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = user_traceback(current.__traceback__)
        pending += [current.__cause__, current.__context__]


def report_exception(error: BaseException) -> None:
    """Print an uncaught exception the way the interpreter does, by the user's own hook if there is one."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:
        print("Error in sys.excepthook:", file=sys.stderr)
        traceback.print_exc()
        print("\nOriginal exception was:", file=sys.stderr)
        traceback.print_exception(type(error), error, error.__traceback__)


def exit_code_of(error: SystemExit) -> int:
    """The process exit code that ``error`` makes."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def flush_everything() -> None:
    """Write out what the program has printed: what a checkpoint has seen is not printed again.

    Python's own streams, C's ``stdout``, and all of the program's buffered files: they are not reopened
    where they were.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).fflush(None)
    _streams.flush()


def opened_to_write() -> None:
    """A file was opened for writing: it has to be found before the next flush."""
    _streams.complete = False


class _Streams:
    """The buffered files that are open for writing.

    Looking through all objects for them takes a good part of a second in a large program, so it is done only when
    there may be a new one: when a file was opened, when one that is known was closed, or when the descriptors that
    are open for writing are others than before.
    """

    def __init__(self) -> None:
        self.complete = False
        self._known: list[weakref.ref[Any]] = []
        self._descriptors: set[tuple[int, int, int]] | None = None

    def flush(self) -> None:
        descriptors = _written_descriptors()
        found = [reference() for reference in self._known]
        gone = any(stream is None or stream.closed for stream in found)
        if gone or not self.complete or descriptors is None or descriptors != self._descriptors:
            found = _buffered_files() if descriptors or descriptors is None else []
            self._known = [weakref.ref(stream) for stream in found]
            self._descriptors, self.complete = descriptors, True
        for stream in filter(None, found):
            with contextlib.suppress(Exception):
                stream.flush()


_streams = _Streams()


def _buffered_files() -> list[Any]:
    wanted: dict[type, bool] = {}
    found = []
    for item in gc.get_objects():
        # type() and not isinstance(): a lazy proxy must not be woken by a look at its __class__
        kind = type(item)
        if kind not in wanted:
            wanted[kind] = issubclass(kind, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom)
        if wanted[kind]:
            with contextlib.suppress(Exception):
                if not item.closed:
                    found.append(item)
    return found


def _written_descriptors() -> set[tuple[int, int, int]] | None:
    """Regular files other than the standard streams that are open for writing: number, device, inode."""
    found = set()
    try:
        for name in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{name}"
            if int(name) > 2 and os.path.isfile(path) and not os.readlink(path).startswith("/memfd:survivor-"):
                flags = int(Path(f"/proc/self/fdinfo/{name}").read_text().split("flags:")[1].split()[0], 8)
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    status = os.fstat(int(name))
                    found.add((int(name), status.st_dev, status.st_ino))
    except (OSError, ValueError, IndexError):
        return None  # can't tell: look for them
    return found


def _is_ours(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename.startswith(_OURS)
