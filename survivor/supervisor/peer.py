"""A process that the supervisor has started and talks with: the child, and the writer."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from survivor.channel import Decoder, Message, encode
from survivor.supervisor.signals import STOP_SIGNALS

_SEND_S = 3.0


class Peer:
    """A running process, in a session of its own, and our end of its channel.

    Attributes:
        pid: of the process, and of its group.
        socket: readable when it has said something, or its end is closed.
        pidfd: readable when it has ended.
        unblock: the stop signals that are blocked in it, for it to unblock when it is ready for them.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        fds: tuple[int, ...] = (),
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start ``command``, with the number of its channel's descriptor as the last word."""
        ours, theirs = socket.socketpair()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *fds),
                env=env,
                stdin=stdin,
                stdout=stdout,
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.unblock = tuple(int(number) for number in STOP_SIGNALS if number not in before)
        self.pid = self._process.pid
        self.socket = ours
        self.pidfd = os.pidfd_open(self.pid)
        self._decoder = Decoder()
        self._ended_channel = self._deaf = False

    def send(self, message: Message) -> None:
        """Say something; a process that is gone hears nothing, which its end will tell.

        One that hangs may not take a long message at all. It gets a moment, and nothing more after that.
        """
        if self._deaf:
            return
        try:
            self.socket.settimeout(_SEND_S)
            self.socket.sendall(encode(message))
            self.socket.settimeout(None)
        except OSError:
            self._deaf = True
            with contextlib.suppress(OSError):
                self.socket.settimeout(None)

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
        """Whether the other end is closed."""
        return self._ended_channel

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended; it is not reaped by this."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal_group(self, number: int) -> None:
        """Send a signal to it and all that it started; before ``reap``, while its group is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> int:
        """Wait for the end and return the exit code, or minus the number of the signal."""
        status = self._process.wait()
        self.socket.close()
        os.close(self.pidfd)
        return status

    def kill(self) -> None:
        """Kill it and all that it started, without waiting for the end; closes the channel."""
        if not self.has_ended:
            self.signal_group(signal.SIGKILL)
        self.socket.close()
        self._ended_channel = True

    def reap_soon(self, seconds: float) -> None:
        """Reap what was killed, unless it takes longer: on a hung mount it ends when that answers."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            self.reap()

    def abandon(self) -> None:
        """Kill everything and reap: for the way out of an error of ours."""
        if self._process.returncode is None:
            self.signal_group(signal.SIGKILL)
            self.reap()

    def __enter__(self) -> Any:
        """Leave nothing behind at the end of the block."""
        return self

    def __exit__(self, *_: Any) -> None:
        """``abandon`` it, unless it was reaped."""
        self.abandon()
