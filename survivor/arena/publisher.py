"""The child's side of the arena: copies snapshots into slots."""

from __future__ import annotations

import _thread
import fcntl
import math
import os
import time
from collections.abc import Container

from survivor import machine
from survivor.arena.kernel import Map, NoMemoryError, lock, unlock
from survivor.arena.layout import Held, clear_head, held_in, index_of, lay_out, newest, write_head
from survivor.checkpoint.snapshot import Blob, Snapshot, mark_of

_ROUND_BYTES = 2 << 20  # a huge page
#: What a slot may take of the free memory: the rest is the training's own.
_SHARE_OF_FREE = 0.5
#: A third slot lets the child take snapshots while a slow store reads one; only where memory is plenty, and the store
#: was seen to be slow, or the snapshot can't wait, or is small.
_SHARE_FOR_THIRD = 0.15
_SLOW_STORE_S = 5.0
_SMALL_BYTES = 32 << 20
#: Room for a state that grows, as a share of its size.
_SPARE = 1 / 32


class BusyError(Exception):
    """Every slot that may be written is being read."""


class _Slot:
    """A slot as its only writer sees it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = os.fstat(fd).st_size
        self._map = Map(fd, size, writable=True) if size else None
        self._placed: dict[int, object] = {}
        self.being_touched = False

    @property
    def capacity_bytes(self) -> int:
        return self._map.size_bytes if self._map is not None else 0

    def invalidate(self) -> bool:
        """Mark it as holding nothing; False if somebody reads it."""
        if not self.capacity_bytes:
            return True
        if not lock(self.fd, fcntl.LOCK_EX):
            return False
        clear_head(self.fd)
        unlock(self.fd)
        return True

    def ensure(self, size_bytes: int) -> None:
        """Make room for so many bytes, if there is none; only while it is marked as empty."""
        if size_bytes <= self.capacity_bytes:
            return
        if self.being_touched:
            raise BusyError
        size = -(-int(size_bytes * (1 + _SPARE)) // _ROUND_BYTES) * _ROUND_BYTES
        if self._map is not None:
            self._map.unmap()
            self._map = None
        self._placed.clear()
        os.ftruncate(self.fd, size)
        self._map = Map(self.fd, size, writable=True)

    def touch(self) -> None:
        """Let the kernel give all its pages now, and not one by one under the copy."""
        if self._map is not None:
            self._map.touch()
        self.being_touched = False

    def copy(self, placed: list[tuple[int, Blob]], end: int, index: bytes) -> dict[int, object]:
        """Copy blobs and the index to their places; the slot was invalidated before.

        Returns what `seal` is to know: what lies here that can't change.
        """
        assert self._map is not None
        before, self._placed = self._placed, {}  # if this is cut short, nothing is known of what lies here
        kept: dict[int, object] = {}
        with self._map.view() as memory:
            for offset, blob in placed:
                # what can't change and lies here from an earlier snapshot needs no second copy
                mark = mark_of(blob.data)
                if mark is None or before.get(offset) is not mark:
                    memory[offset : offset + blob.data.nbytes] = blob.data
                if mark is not None:
                    kept[offset] = mark
            memory[end : end + len(index)] = index
        return kept

    def copy_beside(self, placed: list[tuple[int, Blob]]) -> None:
        """Copy writable blobs to their places, while other threads run."""
        assert self._map is not None
        for offset, blob in placed:
            self._map.fill(offset, blob.data)

    def seal(self, held: Held, end: int, index_bytes: int, kept: dict[int, object]) -> None:
        """Make what was copied valid."""
        write_head(self.fd, held, end, index_bytes)
        self._placed = kept


class Copy:
    """A snapshot on its way into a slot: nobody sees it there before `commit`.

    Args:
        slot: where to, invalidated and large enough.
        held: what it will be known by.
        placed: each blob with its place.
        index: the place after the last blob, and what is to lie there.
        later: names of the blobs that are left for `finish`.
    """

    def __init__(
        self,
        slot: _Slot,
        held: Held,
        placed: list[tuple[int, Blob]],
        index: tuple[int, bytes],
        later: Container[str] = (),
    ) -> None:
        self.held = held
        self._slot = slot
        self._later = [item for item in placed if item[1].name in later]
        self._end, self._index_bytes = index[0], len(index[1])
        self._kept = slot.copy([item for item in placed if item[1].name not in later], *index)

    def finish(self) -> None:
        """Copy what is left; may run in a thread of its own, which leaves the interpreter to others meanwhile."""
        self._slot.copy_beside(self._later)

    def commit(self) -> Held:
        """Make it the newest snapshot."""
        self._slot.seal(self.held, self._end, self._index_bytes, self._kept)
        return self.held


class Publisher:
    """The child's side: copies snapshots into slots.

    Args:
        fds: the slots, as the supervisor made them.
    """

    def __init__(self, fds: tuple[int, ...]) -> None:
        self._slots = [_Slot(fd) for fd in fds]
        self._choosing = _thread.allocate_lock()
        self._busy_since = math.inf  # monotonic
        held = newest(fds)
        self.seq = held.seq if held is not None else 0

    def publish(self, snapshot: Snapshot, *, urgent: bool = False) -> Held:
        """Copy ``snapshot`` into a slot; raises as `begin`."""
        copy = self.begin(snapshot, urgent=urgent)
        copy.finish()
        return copy.commit()

    def begin(self, snapshot: Snapshot, later: Container[str] = (), *, urgent: bool = False) -> Copy:
        """Copy ``snapshot`` into a slot, but for the blobs with the names in ``later``, whose bytes are writable.

        The copy is to be finished and committed, or forgotten, before the next one begins.

        Raises:
            NoMemoryError: there is no memory for its size; what lay in the arena is still there.
            BusyError: every slot that could be used is being read; try again later, with ``urgent`` if that is soon.
            FormatError: the document is no JSON.
        """
        placed, blobs, end = lay_out(snapshot)
        index = index_of(snapshot, blobs)
        held = Held(
            seq=self.seq + 1,
            step=snapshot.step,
            position=snapshot.position,
            size_bytes=snapshot.size_bytes,
            taken_at=time.time(),
        )
        with self._choosing:
            slot = self._choose(end + len(index), urgent)
        self.seq = held.seq
        return Copy(slot, held, placed, (end, index), later)

    def unprepared_bytes(self, snapshot: Snapshot) -> int:
        """How much memory the next copy would be the first to touch, which is slow."""
        need = lay_out(snapshot)[2]
        ready = [slot for slot in self._slots if slot.capacity_bytes >= need and not slot.being_touched]
        return need if len(ready) < 2 else 0

    def has_room(self, snapshot: Snapshot) -> bool:
        """Whether a slot that can be used has its memory already."""
        need, newest_slot = lay_out(snapshot)[2], self._newest()
        with self._choosing:
            return any(
                slot.capacity_bytes >= need and slot is not newest_slot and not slot.being_touched
                for slot in self._slots
            )

    def prepare(self, size_bytes: int) -> None:
        """Give two slots their pages before they are used; may run in another thread, for seconds.

        Raises:
            NoMemoryError: as ``publish``.
        """
        for slot in self._slots[:2]:
            with self._choosing:
                if slot.capacity_bytes >= size_bytes or slot is self._newest() or not slot.invalidate():
                    continue
                _check_memory(size_bytes - slot.capacity_bytes, _SHARE_OF_FREE)
                slot.ensure(size_bytes)
                slot.being_touched = True
            slot.touch()

    def _newest(self) -> _Slot | None:
        found = [(held.seq, slot) for slot in self._slots if (held := held_in(slot.fd)) is not None]
        return max(found, key=lambda item: item[0])[1] if found else None

    def _choose(self, need: int, urgent: bool) -> _Slot:
        """An empty slot of that size, which is not the newest one, as long as there is memory for two."""
        newest_slot = self._newest()
        free: list[_Slot] = []
        busy: list[_Slot] = []
        unused: list[_Slot] = []
        for slot in self._slots:
            if slot is not newest_slot:
                group = unused if not slot.capacity_bytes else free if slot.invalidate() else busy
                group.append(slot)
        now = time.monotonic()
        self._busy_since = min(self._busy_since, now) if busy else math.inf
        third = urgent or need <= _SMALL_BYTES or now - self._busy_since >= _SLOW_STORE_S
        if busy and not free and not third:
            raise BusyError
        free.sort(key=lambda slot: slot.capacity_bytes < need)
        for slot in [*free, *unused][:1]:
            try:
                _check_memory(need - slot.capacity_bytes, _SHARE_FOR_THIRD if busy else _SHARE_OF_FREE)
                slot.ensure(need)
                return slot
            except NoMemoryError:
                pass
        if busy:
            raise BusyError
        if newest_slot is None:
            raise NoMemoryError
        # memory for one slot only: the snapshot before has to go first
        _check_memory(need - newest_slot.capacity_bytes, _SHARE_OF_FREE)
        if not newest_slot.invalidate():
            raise BusyError
        newest_slot.ensure(need)
        return newest_slot


def _check_memory(more_bytes: int, share: float) -> None:
    if more_bytes > 0 and more_bytes > share * machine.memory().free_bytes:
        raise NoMemoryError
