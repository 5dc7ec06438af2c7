"""The child as a process: start it out of reach of our own signals, hear it, end all that is left of it.

The child gets a session of its own, so that Ctrl-C, a closed terminal and ``kill -- -GROUP`` reach the
supervisor alone. A process group in our session would be a *background* group: reading the terminal
would stop it. In another session the kernel makes no such check, so ``input()`` works, ``isatty()`` is
true and the size of the window can be asked; only ``/dev/tty`` can't be opened (``getpass`` then uses
stdin by itself). What signals reach the child all the same (SLURM, a container's end) its shield takes,
and until the shield is up they are blocked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

from survivor.channel import Decoder, Message, Start, encode
from survivor.supervisor.signals import STOP_SIGNALS

_ENTRY = Path(__file__).parent.parent / "training" / "__main__.py"


def interpreter_flags() -> list[str]:
    """The options that this interpreter was started with, so that the child's ``sys.flags`` are equal."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    stdout = sys.__stdout__
    if stdout is not None and isinstance(getattr(stdout, "buffer", None), FileIO):
        flags.append("-u")  # left no trace in sys.flags
    return flags


class Child:
    """A running child process and our end of its channel."""

    def __init__(self, start: Start, *, hash_seed: str, fds: tuple[int, ...] = ()) -> None:
        """Start it; ``fds`` are handed on beside the channel."""
        ours, theirs = socket.socketpair()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, *interpreter_flags(), str(_ENTRY), str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *fds),
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.pid = self._process.pid
        self.socket = ours
        self.pidfd = os.pidfd_open(self.pid)
        self._decoder = Decoder()
        self._ended_channel = False
        blocked = tuple(int(number) for number in STOP_SIGNALS if number not in before)
        self.send(replace(start, unblock=blocked))

    def send(self, message: Message) -> None:
        """Say something; a child that is gone hears nothing, which its end will tell."""
        with contextlib.suppress(OSError):
            self.socket.sendall(encode(message))

    def receive(self) -> list[Message]:
        """What it has said, without waiting; empty also after it closed the channel."""
        messages: list[Message] = []
        while not self._ended_channel:
            try:
                data = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self._ended_channel = not data
            messages += self._decoder.feed(data)
        return messages

    @property
    def channel_is_closed(self) -> bool:
        """Whether the child's end is closed."""
        return self._ended_channel

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended; it is not reaped by this."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal_group(self, number: int) -> None:
        """Send a signal to the child and all that it started; before ``reap``, while its group is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> int:
        """Wait for the end and return the exit code, or minus the number of the signal."""
        status = self._process.wait()
        self.socket.close()
        os.close(self.pidfd)
        return status

    def abandon(self) -> None:
        """Kill everything and reap: for the way out of an error of ours."""
        if self._process.returncode is None:
            self.signal_group(signal.SIGKILL)
            self.reap()

    def __enter__(self) -> Child:
        """Leave nothing behind at the end of the block."""
        return self

    def __exit__(self, *_: Any) -> None:
        """``abandon`` it, unless it was reaped."""
        self.abandon()
