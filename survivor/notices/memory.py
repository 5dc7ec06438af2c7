"""Memory: the kernel ends who goes beyond a container's limit, and with them, in many places, everybody beside them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from survivor import machine
from survivor.notices import Notice, View

_NEARLY_FULL = 0.97
_FULL_SOON = 0.9
_SOON_S = 30.0
_SAMPLES = 6


class MemoryLimit:
    """Looks at the memory that is used and how fast it grows.

    Args:
        read: the memory now.
        clock: monotonic seconds.
    """

    every_s = 2.0

    def __init__(
        self, read: Callable[[], machine.Memory] = machine.memory, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self._seen: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def look(self, _view: View) -> Notice | None:
        """A notice when the limit is reached, or will be within half a minute."""
        now, memory = self._clock(), self._read()
        self._seen.append((now, memory.used_bytes))
        share = memory.used_bytes / max(1, memory.limit_bytes)
        if share >= _NEARLY_FULL:
            return self._notice(memory, "")
        left_s = self._left_s(memory)
        if share >= _FULL_SOON and left_s is not None and left_s < _SOON_S:
            return self._notice(memory, f", and full in {left_s:.0f} s at this pace")
        return None

    def _left_s(self, memory: machine.Memory) -> float | None:
        """Seconds until it is full, if it goes on growing as it did over the last samples."""
        if len(self._seen) < _SAMPLES:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last <= first or last_s <= first_s:
            return None
        return memory.free_bytes * (last_s - first_s) / (last - first)

    @staticmethod
    def _notice(memory: machine.Memory, more: str) -> Notice:
        used, limit = memory.used_bytes / 1e9, memory.limit_bytes / 1e9
        return Notice(reason=f"memory is nearly full ({used:.1f} of {limit:.1f} GB{more})", ends=False)
