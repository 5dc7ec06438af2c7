"""The child's end of the channel: saves for the engine, hears the parent, and ends the process.

A raw thread hears the parent. It is no ``threading.Thread``, so that ``threading.enumerate()`` in the
user's program shows what it would show under ``python``.
"""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn, Protocol

from survivor import arena
from survivor.arena import Held
from survivor.channel import (
    Decoder,
    Durable,
    Failed,
    Finished,
    Message,
    Note,
    Ready,
    Refused,
    Saved,
    SaveFailed,
    Snapped,
    Start,
    Stop,
    Stopped,
    encode,
)
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import EXIT_SAVED, FormatError, JobRunningError, StoreError, SurvivorError
from survivor.pulse import Heart
from survivor.training import attachments
from survivor.training.copying import Copies, Settled
from survivor.training.ending import flush_everything

#: Out of the way of the low numbers that the user's own files get.
_LOWEST_FD = 200
_CHILDREN_END_S = 2.0


class Saver(Protocol):
    """Makes a snapshot durable; returns the checkpoint's name."""

    def __call__(self, snapshot: Snapshot, /) -> str:
        """Raises ``StoreError`` or ``JobRunningError``."""
        ...


class Link:
    """What the engine and the child's bootstrap say to the parent.

    In a process that was forked off the child every method that sends does nothing: only the process
    that trains speaks for the job.
    """

    def __init__(self, channel_fd: int) -> None:
        """Take the channel over and wait for the parent's first message."""
        self._socket = socket.socket(fileno=_moved_up(channel_fd))
        self._decoder = Decoder()
        self._inbox: list[Message] = []
        self._lock = _thread.allocate_lock()
        self._pid = os.getpid()
        self._saver: Saver | None = None
        self._warned: set[str] = set()
        self._orphaned = False
        self._waiting_for = 0
        self._answered = _thread.allocate_lock()
        self._answered.acquire()
        self.start = self._receive_start()
        slots = tuple(_moved_up(fd) for fd in self.start.arena)
        self.start = replace(self.start, arena=slots)
        self._copies = Copies(slots, lambda: self._orphaned) if slots else None
        pulse = self.start.pulse_fd
        self.beat: Callable[[float], None] = Heart(_moved_up(pulse)).beat if pulse >= 0 else lambda _: None
        os.register_at_fork(after_in_child=self._disown)

    # ------------------------------------------------------------------ for the engine

    def save(self, snapshot: Snapshot, *, final: bool, needed: bool = False) -> None:
        """Take ``snapshot``: into the arena, from where the writer makes it durable, or to the store by ourselves.

        Nothing is taken where the arena is busy and a later safe point does as well. One that is ``needed`` is
        itself made a checkpoint, though a later one may follow soon. A store that fails is told and survived.
        """
        if self.is_forked:
            return
        # how the script started, and checkpoints at every safe point, count only when they are durable
        wait = needed or snapshot.step == 0 or self.start.every_s == 0
        if self._copies is not None and not (final or wait or self._copies.is_prepared_for(snapshot)):
            return
        flush_everything()
        snapshot = attachments.attached(snapshot)
        if self._copies is None or self._orphaned or not self._into_arena(self._copies, snapshot, final, wait):
            self._save_directly(snapshot, final=final)

    def _into_arena(self, copies: Copies, snapshot: Snapshot, final: bool, wait: bool) -> bool:
        """Leave ``snapshot`` to the supervisor; False if it, or the memory for that, is not there."""
        begin = time.monotonic()
        try:
            if not (final or wait) and self._copy_beside(copies, snapshot, begin):
                return True
            held = copies.take(snapshot, must=final or wait)
        except arena.BusyError:
            return True  # a later safe point does as well
        except FormatError as error:
            self._send(SaveFailed(reason=f"{type(error).__name__}: {error}"))
            return True
        except arena.NoMemoryError:
            self._give_up_arena(snapshot)
            return False
        if held is None:
            return not self._orphaned
        return self._announce(held, time.monotonic() - begin, final=final, wait=wait) or not wait

    def _copy_beside(self, copies: Copies, snapshot: Snapshot, begin: float) -> bool:
        """Copy the snapshot partly beside the training; False where that does not pay."""
        seconds = 0.0

        def sealed(held: Held) -> None:
            self._announce(held, seconds, final=False, wait=False)

        beside = copies.take_beside(snapshot, sealed)
        seconds = time.monotonic() - begin  # what training waited; nobody has sealed it yet but this thread
        return beside

    def settled(self) -> Settled | None:
        """What came of a copy that was taken beside the training, once it has come to its end."""
        return self._copies.settled() if self._copies is not None else None

    def _announce(self, held: Held, seconds: float, *, final: bool, wait: bool) -> bool:
        """Tell the parent; with ``wait`` until it is durable. False if the supervisor died meanwhile."""
        self._waiting_for = held.seq if wait else 0
        self._send(
            Snapped(
                seq=held.seq,
                step=held.step,
                position=held.position,
                size_bytes=held.size_bytes,
                seconds=seconds,
                final=final,
                wait=wait,
            )
        )
        while self._waiting_for and not self._orphaned:
            self._answered.acquire(timeout=1.0)
        return not self._waiting_for

    def _give_up_arena(self, snapshot: Snapshot) -> None:
        self._copies = None
        size = f"{snapshot.size_bytes / 1e6:.0f} MB"
        self.warn(f"there is no memory to keep a copy of the state ({size}): training waits while it is written")

    def _save_directly(self, snapshot: Snapshot, *, final: bool) -> None:
        assert self._saver is not None, "the link has no saver yet"
        begin = time.monotonic()
        try:
            name = self._saver(snapshot)
        except JobRunningError as error:
            self.refuse(error)  # the job is another session's now: nothing more is ours to write
        except (StoreError, OSError) as error:
            self._send(SaveFailed(reason=f"{type(error).__name__}: {error}"))
            return
        self._send(
            Saved(
                checkpoint=name,
                step=snapshot.step,
                position=snapshot.position,
                size_bytes=snapshot.size_bytes,
                seconds=time.monotonic() - begin,
                final=final,
            )
        )

    def leave(self) -> NoReturn:
        """End the process now with exit code 75, whatever the program has around its loop.

        Not by an exception: ``except:`` or ``finally`` in the user's code would see it, and training
        code that catches everything and goes on would go on.
        """
        self._end(Stopped(), EXIT_SAVED)

    def refuse(self, error: SurvivorError) -> NoReturn:
        """End the process now with ``error``, which the parent shows."""
        message = Refused(
            error_type=type(error).__name__,
            message=str(error),
            advice=error.advice,
            exit_code=error.exit_code,
        )
        self._end(message, error.exit_code)

    def note(self, text: str) -> None:
        """Show the user one line."""
        self._send(Note(text=text))

    def warn(self, text: str) -> None:
        """Show the user one line of warning, once per text."""
        if text not in self._warned:
            self._warned.add(text)
            self._send(Note(text=text, warning=True))

    # ------------------------------------------------------------------ for the bootstrap

    def set_saver(self, saver: Saver) -> None:
        """Say how snapshots become durable."""
        self._saver = saver

    def listen(self, request_stop: Callable[[str], None]) -> None:
        """From now on, hand the parent's wish to stop, and its death, to ``request_stop``."""
        _thread.start_new_thread(self._listen, (request_stop,))

    def ready(self, message: Ready) -> None:
        """The program's first line is about to run."""
        self._send(message)

    def finished(self) -> None:
        """The program ended as it should."""
        self._settle()
        self._send(Finished())

    def failed(self, error_type: str, message: str, exit_code: int) -> None:
        """The program ended by an exception or by ``sys.exit`` with a code."""
        self._settle()
        self._send(Failed(error_type=error_type, message=message[:2000], exit_code=exit_code))

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that trains."""
        return os.getpid() != self._pid

    # ------------------------------------------------------------------ inside

    def _receive_start(self) -> Start:
        while not self._inbox:
            data = self._socket.recv(65536)
            if not data:
                os._exit(EXIT_SAVED)  # the parent died before it said a word
            self._inbox += self._decoder.feed(data)
        message = self._inbox.pop(0)
        assert isinstance(message, Start), message
        return message

    def _listen(self, request_stop: Callable[[str], None]) -> None:
        while True:
            for message in self._inbox:
                if isinstance(message, Stop):
                    request_stop(message.reason)
                elif isinstance(message, Durable):
                    self._on_durable(message)
            self._inbox.clear()
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            self._inbox += self._decoder.feed(data)
        self._orphaned = True
        self._wake()
        request_stop("its supervisor is gone")
        time.sleep(self.start.grace_s)
        end_children()
        os._exit(EXIT_SAVED)

    def _on_durable(self, message: Durable) -> None:
        if 0 < self._waiting_for <= message.seq:
            self._waiting_for = 0
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._answered.release()

    def _send(self, message: Message) -> None:
        if self.is_forked:
            return
        # a parent that is gone is the listener's business
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(encode(message))

    def _end(self, message: Message, exit_code: int) -> NoReturn:
        flush_everything()
        if not self.is_forked:
            self._settle()
            end_children()
            self._send(message)
        os._exit(exit_code)

    def _settle(self) -> None:
        """Nothing that was taken is lost."""
        if self._copies is not None:
            self._copies.settle()

    def _disown(self) -> None:
        # the parent must see the end of the channel when the trainer ends, not when its workers do
        with contextlib.suppress(OSError):
            self._socket.close()


def _moved_up(fd: int) -> int:
    """The same file under a number that the user's own files would not get; closed on exec."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FD)
    os.close(fd)
    return moved


def end_children() -> None:
    """End what ``multiprocessing`` started, as its exit handler would have."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return
    children = multiprocessing.active_children()
    for child in children:
        with contextlib.suppress(Exception):
            child.terminate()
    deadline = time.monotonic() + _CHILDREN_END_S
    for child in children:
        with contextlib.suppress(Exception):
            child.join(max(0.0, deadline - time.monotonic()))
            if child.is_alive():
                child.kill()
