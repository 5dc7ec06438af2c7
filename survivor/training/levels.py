"""The states that are kept of outer loops and of loops that have ended: copies of their own, where they pay."""

from __future__ import annotations

import time
from collections.abc import Callable

from survivor.checkpoint.snapshot import Blob, Frozen
from survivor.training.records import Level, Record
from survivor.training.settings import Settings

#: Memory of this size is worth keeping for the next copy: to touch new memory takes ten times as long as to copy.
_LARGE_BYTES = 1 << 20


def freeze(level: Level, spare: Level | None = None) -> Level:
    """The same level with its own copy of the bytes, so that training may go on; in the memory of a ``spare`` one."""
    free: dict[int, list[Frozen]] = {}
    for blob in spare.blobs.values() if spare is not None else ():
        owner = blob.data.obj
        if isinstance(owner, Frozen):
            free.setdefault(len(owner), []).append(owner)
    blobs = {}
    for name, blob in level.blobs.items():
        size = blob.data.nbytes
        if size < _LARGE_BYTES:
            data = memoryview(bytes(blob.data))
        else:
            data = (free[size].pop() if free.get(size) else Frozen(size)).filled(blob.data)
        blobs[name] = Blob(name=name, dtype=blob.dtype, shape=blob.shape, data=data)
    return Level(level.document, blobs, level.open_paths)


class Levels:
    """Knows what a level costs, and where it pays."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._capture_s = 0.0
        self._copy_s = 0.0

    def captured(self, seconds: float) -> None:
        """Reading the state took so long."""
        self._capture_s = max(seconds, 0.7 * self._capture_s)

    def copied(self, level: Level, spare: Level | None = None) -> Level:
        """A copy of a level, see `freeze`."""
        begin = self._clock()
        frozen = freeze(level, spare)
        self._copy_s = max(self._clock() - begin, 0.7 * self._copy_s)
        return frozen

    def pays_at_head(self, record: Record, now: float) -> bool:
        """Whether a level at the head of an outer loop is worth what it costs.

        Without one there is no safe point within this iteration. So it pays for an iteration that is longer than the
        user wants to be without a checkpoint, and for all others once in so long a time that its cost is small.
        """
        site = record.site
        if self._settings.every_s == 0 or (record.done and site.body_s >= self._settings.every_s):
            return True
        return self._is_small(max(site.body_s, now - site.level_at))

    def pays_at_end(self, lasted_s: float) -> bool:
        """Whether the state at the end of a loop that lasted so long is worth taking."""
        return self._settings.every_s == 0 or self._is_small(lasted_s)

    def _is_small(self, time_s: float) -> bool:
        return self._capture_s + self._copy_s <= self._settings.overhead * time_s
