"""survivor in a notebook: output that streams into the cell, one line that says how far training is, a stop
button that saves.

The kernel is the supervisor. Its descriptors 1 and 2 lead nowhere that a user looks, so the child gets two
pipes, and a thread copies from them into the cell's streams, which know the cell that they belong to. When the
kernel dies the pipes have no reader: the child then writes into the void, saves at its next safe point and ends.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from survivor.supervisor import events
from survivor.supervisor.console import Console, size_text


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class StoppedAndSaved(KeyboardInterrupt):
    """The call was stopped and can be continued; a notebook shows one line of it instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"survivor: {self.args[0]}"]


class StatusLine:
    """One line of a cell's output that is replaced, not repeated."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._id = ""
        self._shown = ""

    def show(self, text: str) -> None:
        """Put the text in the line's place."""
        from IPython.display import display

        text = text.replace("\n", "; ")
        if text == self._shown:
            return
        data = {"text/plain": f"survivor: {text}"}
        if self._id:
            display(data, raw=True, display_id=self._id, update=True)  # type: ignore[no-untyped-call]
        else:
            self._id = f"survivor-{os.getpid()}-{id(self)}"
            display(data, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
        self._shown = text

    def hear(self, event: events.Event) -> None:
        """Tell of an event of the session, where it says how far training is."""
        if isinstance(event, events.CheckpointSaved) and event.step:
            clock = time.strftime("%H:%M:%S", time.localtime(event.time))
            self.show(
                f"{event.job}: {event.position} (step {event.step}), saved at {clock} "
                f"({size_text(event.size_bytes)} in {event.seconds:.2f} s)"
            )


@dataclass(frozen=True, kw_only=True)
class NotebookConsole(Console):
    """Plain information goes into one line that changes in place; warnings and errors go to standard error."""

    line: StatusLine = field(default_factory=StatusLine)

    def say(self, text: str) -> None:
        """Show the text in the line."""
        if not self.quiet:
            self.line.show(text)


class Relay:
    """Copies what the child prints into the cell.

    Attributes:
        fds: the writing ends, for the child's standard output and error.
    """

    def __init__(self) -> None:
        """Make the pipes."""
        self._reads, self.fds = [], []
        for _ in range(2):
            read, write = os.pipe()
            self._reads.append(read)
            self.fds.append(write)
        self._thread = threading.Thread(target=self._copy, name="survivor-output", daemon=True)
        self._end_read, self._end_write = os.pipe()

    def __enter__(self) -> Relay:
        """Begin to copy."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Copy what is left, also where a process that the child left running still holds the pipes."""
        for fd in self.fds:
            os.close(fd)
        os.close(self._end_write)
        self._thread.join()
        for fd in (*self._reads, self._end_read):
            os.close(fd)

    def _copy(self) -> None:
        streams = dict(zip(self._reads, (sys.stdout, sys.stderr), strict=True))
        decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in streams}
        poll = select.poll()
        for fd in (*streams, self._end_read):
            poll.register(fd, select.POLLIN)
        open_fds, ending = set(streams), False
        while open_fds:
            ready = [fd for fd, _ in poll.poll(0 if ending else None)]
            if ending and not ready:
                break
            for fd in ready:
                if fd == self._end_read:
                    ending = True
                    poll.unregister(fd)
                elif data := os.read(fd, 65536):
                    _write(streams[fd], decoders[fd].decode(data))
                else:
                    poll.unregister(fd)
                    open_fds.discard(fd)


def _write(stream: Any, text: str) -> None:
    with contextlib.suppress(Exception):  # a front end that is gone is no reason to stop training
        stream.write(text)
        stream.flush()
