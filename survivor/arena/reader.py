"""Reading the arena: the writer where it lies, a child that continues from it into memory of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping

from survivor.arena.kernel import Map, lock, unlock
from survivor.arena.layout import Held, held_in, snapshot_in
from survivor.checkpoint.snapshot import Blob, Snapshot


class Loaded:
    """A snapshot that a child takes out of the arena to continue from: like a checkpoint, with memory of its own."""

    def __init__(self, held: Held, snapshot: Snapshot) -> None:
        self.held = held
        self.document = snapshot.document
        self.metrics = dict(snapshot.metrics)
        self._blobs = {
            name: Blob(name=name, dtype=blob.dtype, shape=blob.shape, data=memoryview(bytearray(blob.data)))
            for name, blob in snapshot.blobs.items()
        }

    def blobs(self) -> Mapping[str, Blob]:
        """All blobs by name."""
        return self._blobs


def load(fds: tuple[int, ...]) -> Loaded | None:
    """Copy the newest snapshot out, if there is one."""
    with Reader(fds).open_newest() as found:
        return Loaded(*found) if found is not None else None


class Reader:
    """The writer's side: reads the newest snapshot where it lies, and keeps the child from it meanwhile."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        self._fds = fds
        self._maps: dict[int, Map] = {}

    @contextlib.contextmanager
    def open_newest(self) -> Iterator[tuple[Held, Snapshot] | None]:
        """The newest snapshot, in memory that holds still until the end of the block; None if there is none."""
        for fd in sorted(self._fds, key=lambda fd: held.seq if (held := held_in(fd)) else 0, reverse=True):
            memory = self._mapped(fd)
            if memory is None or not lock(fd, fcntl.LOCK_SH):
                continue
            try:
                held = held_in(fd)
                if held is None:
                    continue
                yield held, snapshot_in(held, fd, memory.view())
                return
            finally:
                unlock(fd)
        yield None

    def _mapped(self, fd: int) -> Map | None:
        size = os.fstat(fd).st_size
        known = self._maps.get(fd)
        if size and (known is None or known.size_bytes != size):
            # an old one stays mapped: somebody may still look at it
            self._maps[fd] = known = Map(fd, size, writable=False)
        return known
