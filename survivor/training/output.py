"""The transcript: what the script prints to standard output, kept with each checkpoint.

A checkpoint holds the whole output of the job up to its safe point. So ``survivor log`` shows one text,
though many sessions printed it: what a resumed session prints on its way to the checkpoint is dropped, and
what a killed one had printed after it goes with the work that is done again.

Things that don't work:

- A pipe for standard output with someone who copies: a terminal is no terminal any more, what C code and
  the script's own processes print is buffered otherwise, stdout and stderr are mixed in another order,
  and a dead copier is a ``BrokenPipeError`` in the middle of the script.
- A pseudo-terminal: the same copier, and the user's real terminal has two masters.
- Replacing ``sys.stdout`` by an object that writes twice: ``sys.stdout.buffer`` goes past it, and a script
  that asks for its type sees another.

Solution: descriptor 1 stays what it is. Only the lowest layer of Python's own stream, the unbuffered file
under ``sys.stdout.buffer``, is one that notes each byte after it was written, in memory that is shared with
the supervisor, which therefore has it even if this process is killed. Forked processes write through it too.
What C code and programs that the script starts write to descriptor 1 by themselves reaches the screen as
ever and is not in the transcript.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from survivor.checkpoint import transcript
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.training import attachments
from survivor.training.shown import Shown

_LOWEST_FD = 200
#: It lies in memory. Ten million lines are half of it.
MOST_BYTES = 1 << 30
_CUT = b"\n[survivor: the transcript ends here, at 1 GiB; the script's own output went on]\n"

#: The length of the transcript is asked for once in so many bytes, and by each process: forks write too.
_ASK_BYTES = 64 << 20

_current: Output | None = None
_to_notebook = False


def current() -> Output | None:
    """This process's transcript, if it keeps one."""
    return _current


class Output:
    """The transcript of this process and its forks.

    Args:
        fd: a memory file that the supervisor made; -1 keeps the transcript in this process only.
        shown: file that knows what a terminal has shown before; "" dims nothing.
    """

    def __init__(self, fd: int = -1, shown: str = "") -> None:
        if fd >= 0:
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FD)
            os.close(fd)
        else:
            self._fd = os.memfd_create("survivor-output")
        # several processes write: each write goes to the end, whoever writes it
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        self._unasked = 0
        self._shown: Shown | None = None
        if shown and os.isatty(1):
            with contextlib.suppress(OSError):
                self._shown = Shown(shown)
        self._silent = mmap.mmap(-1, 1)  # shared with forks: a loader worker may outlive the replay

    def install(self, *, unbuffered: bool = False) -> None:
        """Put the noting file under ``sys.stdout``, which is otherwise as Python made it, or unbuffered."""
        global _current  # noqa: PLW0603 - one process, one standard output
        _current = self
        attachments.add(self.attach)
        old = sys.stdout
        if not isinstance(old, io.TextIOWrapper):
            return  # closed by whoever started us
        with contextlib.suppress(OSError, ValueError):
            old.flush()
            raw = _Noting(self, old.fileno())
            raw.name = "<stdout>"  # as Python itself sets it
            unbuffered = unbuffered or isinstance(old.buffer, io.FileIO)
            size = getattr(raw, "_blksize", io.DEFAULT_BUFFER_SIZE)
            buffer: Any = raw if unbuffered else io.BufferedWriter(raw, max(1, size))
            new: Any = io.TextIOWrapper(
                buffer,
                encoding=old.encoding,
                errors=old.errors,
                newline="\n",
                line_buffering=old.line_buffering,
                write_through=unbuffered or old.write_through,
            )
            new.mode = "w"
            self._old = old  # closing it would close the descriptor
            sys.stdout = sys.__stdout__ = new  # type: ignore[misc]

    # ------------------------------------------------------------------ silence

    def mute(self) -> None:
        """From now on what is printed is a repetition: it is neither shown nor noted."""
        _flush()
        self._silent[0] = 1

    def unmute(self) -> None:
        """Let output through again; what is still in buffers is part of the repetition."""
        _flush()
        self._silent[0] = 0

    @property
    def is_silent(self) -> bool:
        """Whether output is dropped."""
        return bool(self._silent[0])

    # ------------------------------------------------------------------ checkpoints

    def attach(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with a word of how far the output has come; see `survivor.checkpoint.transcript`."""
        return replace(snapshot, document=snapshot.document | {"output": {"size": os.fstat(self._fd).st_size}})

    def filled(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the output that it had seen, for a process that makes the checkpoint by itself."""
        return transcript.joined_by(snapshot, self._fd)

    def restore(self, document: dict[str, Any], blobs: Mapping[str, Blob]) -> None:
        """Go on behind what a checkpoint holds, or behind what a snapshot of this session had seen."""
        said = document.get("output") or {}
        if "pieces" not in said and said.get("size", 0) <= os.fstat(self._fd).st_size:
            # the writer may be reading what lies before: that stays where it is
            os.ftruncate(self._fd, said.get("size", 0))
            return
        os.ftruncate(self._fd, 0)
        for piece in transcript.pieces(document, blobs):
            _write(self._fd, piece)

    def read(self) -> bytes:
        """All of the transcript."""
        return os.pread(self._fd, os.fstat(self._fd).st_size, 0)

    def note(self, data: bytes | memoryview) -> None:
        """Add what was just written."""
        self._unasked -= len(data)
        if self._unasked > 0 and self._shown is None:  # the usual way: each print comes along here where -u is set
            _write(self._fd, data)
            return
        size = os.fstat(self._fd).st_size
        self._unasked = _ASK_BYTES if size < MOST_BYTES - 2 * _ASK_BYTES else 0
        if size < MOST_BYTES:
            _write(self._fd, data if size + len(data) < MOST_BYTES else _CUT.ljust(MOST_BYTES - size))
        if self._shown is not None:
            self._shown.note(size + len(data))

    def for_screen(self, data: memoryview) -> list[bytes | memoryview] | None:
        """What to write in place of ``data``; ``None`` for just that."""
        if self._shown is None:
            return None
        size = os.fstat(self._fd).st_size
        return self._shown.parts(data, size) if size < MOST_BYTES else None


def redirect(out_fd: int, err_fd: int) -> None:
    """Let descriptors 1 and 2 be others from now on: pipes into a notebook, which may be gone one day."""
    global _to_notebook  # noqa: PLW0603 - one process, one standard output
    _to_notebook = out_fd >= 0
    for number, fd in ((1, out_fd), (2, err_fd)):
        if fd >= 0:
            os.dup2(fd, number)
            os.close(fd)
    if err_fd >= 0:
        error: Any = io.TextIOWrapper(_Forgiving(2, "w", closefd=False), errors="backslashreplace", write_through=True)
        error.mode = "w"
        sys.stderr = sys.__stderr__ = error  # type: ignore[misc]


class _Forgiving(io.FileIO):
    """A stream whose reader may die: what is written then goes nowhere, and the script trains on to its safe point."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        try:
            return super().write(view)
        except BrokenPipeError:
            if _to_notebook:
                return len(view)
            raise


class _Noting(_Forgiving):
    """Standard output at its lowest layer."""

    def __init__(self, output: Output, fd: int) -> None:
        super().__init__(fd, "w", closefd=False)
        self._output = output

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        if self._output.is_silent:
            return len(view)
        parts = self._output.for_screen(view)
        if parts is not None:
            for part in parts:
                self._all(memoryview(part))
            self._output.note(view)
            return len(view)
        written = super().write(view)
        if written:
            self._output.note(view[:written])
        return written

    def _all(self, part: memoryview) -> None:
        while part:
            part = part[super().write(part) :]


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(Exception):  # a script may have put anything there
            stream.flush()  # type: ignore[union-attr]
