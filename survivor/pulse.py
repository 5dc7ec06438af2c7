"""The pulse: the child's heads of loops, counted in memory that the supervisor can see without asking.

A child that hangs answers no question; that its pulse stands still shows it. Times are of the monotonic clock, which
is the same in all processes of a machine.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from survivor.arena.kernel import Map

_BYTES = 4096
#: The longest gap is forgotten slowly: one slow evaluation does not make the usual slow for ever.
_FORGET = 0.999


@dataclass(frozen=True)
class Beats:
    """What is seen of a pulse.

    Attributes:
        count: heads of loops passed since the child was started; 0 while it is starting or replaying.
        last_s: when the last one was.
        longest_s: the longest time between two, of late.
    """

    count: int
    last_s: float
    longest_s: float


def create() -> int:
    """Make a pulse that stands still; returns its file descriptor."""
    fd = os.memfd_create("survivor-pulse", os.MFD_CLOEXEC)
    os.ftruncate(fd, _BYTES)
    return fd


class Heart:
    """The child's side."""

    def __init__(self, fd: int) -> None:
        self._view = Map(fd, _BYTES, writable=True).view().cast("d")
        self._view[0] = self._view[2] = 0.0
        self._last = 0.0

    def beat(self, now_s: float) -> None:
        """A head of a loop was passed."""
        view = self._view
        if view[0]:
            gap = now_s - self._last
            longest = view[2] * _FORGET
            view[2] = gap if gap > longest else longest
        self._last = view[1] = now_s
        view[0] += 1.0


class Pulse:
    """The supervisor's side."""

    def __init__(self) -> None:
        self.fd = create()
        self._view = Map(self.fd, _BYTES, writable=True).view().cast("d")

    def reset(self) -> None:
        """A new child is about to be started."""
        self._view[0], self._view[1], self._view[2] = 0.0, time.monotonic(), 0.0

    def read(self) -> Beats:
        """What there is now."""
        return Beats(int(self._view[0]), self._view[1], self._view[2])

    def __enter__(self) -> Pulse:
        """At the end of the block the memory is let go."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        os.close(self.fd)
