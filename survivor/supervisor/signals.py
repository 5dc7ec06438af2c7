"""Signals to the supervisor: a handler records, the session's loop acts, old handlers come back.

Things that don't work: saving, stopping or printing inside a handler (it runs between any two
bytecodes of the loop); ``except KeyboardInterrupt`` (it may strike inside the code that saves).
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
from collections import deque
from types import FrameType
from typing import Any

#: Save and stop.
STOP_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
#: Ctrl-Z: the child is in a session of its own and has to be stopped and continued by us.
PAUSE_SIGNALS = (signal.SIGTSTP, signal.SIGCONT)


class SignalInbox:
    """Collects the signals that arrive while it is entered.

    Args:
        last: the process ends after it, with an exit code that a late signal must not replace: the signals
            are ignored from then on.

    Attributes:
        wakeup: becomes readable when a signal has come; for a selector.
    """

    def __init__(self, *, last: bool = False) -> None:
        """Make the way by which a handler wakes the loop."""
        self._last = last
        self.wakeup, self._waker = socket.socketpair()
        for end in (self.wakeup, self._waker):
            end.setblocking(False)
        self._arrived: deque[int] = deque()
        self._old: dict[int, Any] = {}
        self._old_wakeup_fd = -1

    def __enter__(self) -> SignalInbox:
        """Take the signals over."""
        # only the main thread may set handlers; a session in another one is told to stop otherwise
        if threading.current_thread() is threading.main_thread():
            self._old_wakeup_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            for number in (*STOP_SIGNALS, *PAUSE_SIGNALS):
                old = signal.getsignal(number)
                # ignored by who started us (nohup, a shell's background job): we ignore it as well
                if old is not signal.SIG_IGN:
                    self._old[number] = old
                    signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the old handlers back, or none where the process ends."""
        for number, old in self._old.items():
            signal.signal(number, signal.SIG_IGN if self._last else old if old is not None else signal.SIG_DFL)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._old_wakeup_fd)
        self._old.clear()
        self.wakeup.close()
        self._waker.close()

    def wait(self, seconds: float) -> bool:
        """Wait until a signal has come, at most so long; whether one has, which stays to be drained."""
        if not self._arrived:
            select.select([self.wakeup], [], [], seconds)
        return bool(self._arrived)

    def drain(self) -> list[int]:
        """The signals since the last call, in the order of their coming."""
        with contextlib.suppress(BlockingIOError):
            while self.wakeup.recv(4096):
                pass
        numbers = []
        while self._arrived:
            numbers.append(self._arrived.popleft())
        return numbers

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(number)
