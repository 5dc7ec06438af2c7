"""The arena: memory that supervisor, child and writer share, where a snapshot outlives the child that took it.

The supervisor makes a few *slots*, unnamed memory files that end with the last process that has them. The child
copies its state into a slot that is neither the newest nor being read; the writer reads the newest. So at any moment
one whole snapshot lies there, and a child that is killed in the middle of a copy has spoilt nothing.

Things that don't work:

- ``/dev/shm``: 64 MiB in many containers, and files of a killed run stay there.
- A flag in the shared memory that says "being read": it stays when the reader is killed, and two processes that look
  and set can pass each other. Solution: the reader holds a POSIX record lock on the slot, which the kernel drops when
  the process ends, and which a fork does not inherit. (Locks of an open file are shared with every process that
  inherits it.)
- Copying with ``pwrite``, so that no stray write can hit the slot: a third of the speed.
- One file that grows: what the other process has mapped would have to move with it.

A lock of this kind is lost when the process closes *any* descriptor of the file, and Python's ``mmap`` objects have one
of their own each, with the lowest free number at that, which the user's program would notice. So the maps are made by
the C library's call.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from survivor import machine
from survivor.checkpoint.envelope import dump
from survivor.checkpoint.snapshot import Blob, Snapshot

SLOTS = 3
_MAGIC = b"SRVARENA"
_HEAD = struct.Struct("<8sQQQQ")  # magic, sequence number, end of the data, length of index, length of summary
_HEAD_BYTES = 4096
_SUMMARY_MAX_BYTES = 2048
_ALIGNMENT_BYTES = 64
_ROUND_BYTES = 2 << 20  # a huge page
_MADV_HUGEPAGE = 14
_MADV_POPULATE_WRITE = 23
#: What a slot may take of the free memory: the rest is the training's own.
_SHARE_OF_FREE = 0.5
#: A third slot lets the child take snapshots while a slow store reads one; only where memory is plenty.
_SHARE_FOR_THIRD = 0.15
#: Memory is touched before its first use in pieces of this size, so that the process's own mappings don't wait long.
_TOUCH_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Held:
    """A snapshot that lies in a slot.

    Attributes:
        seq: its number; later ones are higher.
        step, position: as in `Snapshot`.
        size_bytes: bytes of all its blobs.
        taken_at: seconds since 1970.
    """

    seq: int
    step: int
    position: str
    size_bytes: int
    taken_at: float


class NoMemoryError(Exception):
    """There is no memory for a slot."""


class BusyError(Exception):
    """Every slot that may be written is being read."""


def create() -> tuple[int, ...]:
    """Make empty slots; returns their file descriptors, which are not inherited unless they are passed on."""
    return tuple(os.memfd_create(f"survivor-arena-{number}", os.MFD_CLOEXEC) for number in range(SLOTS))


def newest(fds: tuple[int, ...]) -> Held | None:
    """The newest whole snapshot, if there is one."""
    found = [held for fd in fds if (held := _held(fd)) is not None]
    return max(found, key=lambda held: held.seq, default=None)


# ----------------------------------------------------------------------------- writing, in the child


class _Slot:
    """A slot as its only writer sees it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = os.fstat(fd).st_size
        self._map = _Map(fd, size, writable=True) if size else None
        self._placed: dict[int, bytes] = {}
        self.being_touched = False

    @property
    def capacity_bytes(self) -> int:
        return self._map.size_bytes if self._map is not None else 0

    def invalidate(self) -> bool:
        """Mark it as holding nothing; False if somebody reads it."""
        if not self.capacity_bytes:
            return True
        if not _lock(self.fd, fcntl.LOCK_EX):
            return False
        os.pwrite(self.fd, bytes(_HEAD.size), 0)
        _unlock(self.fd)
        return True

    def ensure(self, size_bytes: int) -> None:
        """Make room for so many bytes, if there is none; only while it is marked as empty."""
        if size_bytes <= self.capacity_bytes:
            return
        if self.being_touched:
            raise BusyError
        size = -(-(size_bytes + size_bytes // 16) // _ROUND_BYTES) * _ROUND_BYTES
        if self._map is not None:
            self._map.unmap()
            self._map = None
        self._placed.clear()
        os.ftruncate(self.fd, size)
        self._map = _Map(self.fd, size, writable=True)

    def touch(self) -> None:
        """Let the kernel give all its pages now, and not one by one under the copy."""
        assert self._map is not None
        self.being_touched = True
        self._map.touch()
        self.being_touched = False

    def write(self, seq: int, index: bytes, summary: bytes, placed: list[tuple[int, Blob]], end: int) -> None:
        """Copy a snapshot in and make it valid; the slot was invalidated before."""
        assert self._map is not None
        kept: dict[int, bytes] = {}
        with self._map.view() as memory:
            for offset, blob in placed:
                owner = blob.data.obj
                # bytes can't change: what lies here from an earlier snapshot needs no second copy
                whole = owner if type(owner) is bytes and len(owner) == blob.data.nbytes else None
                if whole is None or self._placed.get(offset) is not whole:
                    memory[offset : offset + blob.data.nbytes] = blob.data
                if whole is not None:
                    kept[offset] = whole
            memory[end : end + len(index)] = index
            memory[_HEAD.size + 4 : _HEAD.size + 4 + len(summary)] = summary
        self._placed = kept
        head = _HEAD.pack(_MAGIC, seq, end, len(index), len(summary))
        # the kernel's call also orders our copies before the head, on every processor
        os.pwrite(self.fd, head + struct.pack("<I", zlib.crc32(head)), 0)


class Publisher:
    """The child's side: copies snapshots into slots.

    Args:
        fds: the slots, as the supervisor made them.
    """

    def __init__(self, fds: tuple[int, ...]) -> None:
        self._slots = [_Slot(fd) for fd in fds]
        self._choosing = _thread.allocate_lock()
        held = newest(fds)
        self.seq = held.seq if held is not None else 0

    def publish(self, snapshot: Snapshot) -> Held:
        """Copy ``snapshot`` into a slot.

        Raises:
            NoMemoryError: there is no memory for its size; what lay in the arena is still there.
            BusyError: every slot that could be used is being read; try again later.
            FormatError: the document is no JSON.
        """
        placed, blobs, end = _lay_out(snapshot)
        index = dump(
            {
                "document": snapshot.document,
                "blobs": blobs,
                "position": snapshot.position,
                "metrics": {name: repr(float(value)) for name, value in snapshot.metrics.items()},
            },
            "a snapshot",
        )
        held = Held(
            seq=self.seq + 1,
            step=snapshot.step,
            position=snapshot.position,
            size_bytes=snapshot.size_bytes,
            taken_at=time.time(),
        )
        with self._choosing:
            slot = self._choose(end + len(index))
        slot.write(held.seq, index, _summary(held), placed, end)
        self.seq = held.seq
        return held

    def unprepared_bytes(self, snapshot: Snapshot) -> int:
        """How much memory the next copy would be the first to touch, which is slow."""
        need = _lay_out(snapshot)[2]
        return need if sum(slot.capacity_bytes >= need for slot in self._slots) < 2 else 0

    def has_room(self, snapshot: Snapshot) -> bool:
        """Whether a slot that can be used has its memory already."""
        need, newest_slot = _lay_out(snapshot)[2], self._newest()
        return any(
            slot.capacity_bytes >= need and slot is not newest_slot and not slot.being_touched for slot in self._slots
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
            slot.touch()

    def _newest(self) -> _Slot | None:
        found = [(held.seq, slot) for slot in self._slots if (held := _held(slot.fd)) is not None]
        return max(found, key=lambda item: item[0])[1] if found else None

    def _choose(self, need: int) -> _Slot:
        """An empty slot of that size, which is not the newest one, as long as there is memory for two."""
        newest_slot = self._newest()
        free: list[_Slot] = []
        busy: list[_Slot] = []
        unused: list[_Slot] = []
        for slot in self._slots:
            if slot is not newest_slot:
                group = unused if not slot.capacity_bytes else free if slot.invalidate() else busy
                group.append(slot)
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


def _lay_out(snapshot: Snapshot) -> tuple[list[tuple[int, Blob]], list[Any], int]:
    """Each blob's place in a slot, the same for the index, and where the data ends.

    What can't change (the frozen levels of outer loops) comes first, so that it lies in the same place each time.
    """
    ordered = sorted(snapshot.blobs.items(), key=lambda item: type(item[1].data.obj) is not bytes)
    placed: list[tuple[int, Blob]] = []
    index: list[Any] = []
    position = _HEAD_BYTES
    for name, blob in ordered:
        placed.append((position, blob))
        index.append([name, blob.dtype, list(blob.shape), position, blob.data.nbytes])
        position += -(-blob.data.nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    return placed, index, position


def _summary(held: Held) -> bytes:
    fields = [held.step, held.position[:300], held.size_bytes, held.taken_at]
    return json.dumps(fields).encode()[:_SUMMARY_MAX_BYTES]


# ----------------------------------------------------------------------------- reading


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
        self._maps: dict[int, _Map] = {}

    @contextlib.contextmanager
    def open_newest(self) -> Iterator[tuple[Held, Snapshot] | None]:
        """The newest snapshot, in memory that holds still until the end of the block; None if there is none."""
        for fd in sorted(self._fds, key=lambda fd: held.seq if (held := _held(fd)) else 0, reverse=True):
            memory = self._mapped(fd)
            if memory is None or not _lock(fd, fcntl.LOCK_SH):
                continue
            try:
                held = _held(fd)
                if held is None:
                    continue
                yield held, _snapshot(held, fd, memory.view())
                return
            finally:
                _unlock(fd)
        yield None

    def _mapped(self, fd: int) -> _Map | None:
        size = os.fstat(fd).st_size
        known = self._maps.get(fd)
        if size and (known is None or known.size_bytes != size):
            # an old one stays mapped: somebody may still look at it
            self._maps[fd] = known = _Map(fd, size, writable=False)
        return known


def _snapshot(held: Held, fd: int, memory: memoryview) -> Snapshot:
    _, _, end, length, _ = _HEAD.unpack(os.pread(fd, _HEAD.size, 0))
    index = json.loads(bytes(memory[end : end + length]))
    blobs = {
        name: Blob(name=name, dtype=dtype, shape=tuple(shape), data=memory[offset : offset + size])
        for name, dtype, shape, offset, size in index["blobs"]
    }
    metrics = {name: float(value) for name, value in index["metrics"].items()}
    return Snapshot(
        document=index["document"], blobs=blobs, step=held.step, position=index["position"], metrics=metrics
    )


def _held(fd: int) -> Held | None:
    """What a slot holds; None if it is empty or being written."""
    data = os.pread(fd, _HEAD.size + 4 + _SUMMARY_MAX_BYTES, 0)
    if len(data) < _HEAD.size + 4:
        return None
    head = data[: _HEAD.size]
    magic, seq, _, _, length = _HEAD.unpack(head)
    if magic != _MAGIC or struct.pack("<I", zlib.crc32(head)) != data[_HEAD.size : _HEAD.size + 4]:
        return None
    step, position, size_bytes, taken_at = json.loads(data[_HEAD.size + 4 :][:length])
    return Held(seq=seq, step=step, position=position, size_bytes=size_bytes, taken_at=taken_at)


# ----------------------------------------------------------------------------- the kernel


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.lockf(fd, kind | fcntl.LOCK_NB, 1, 0)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _unlock(fd: int) -> None:
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Map:
    """A file in this process's memory; stays there until ``unmap``, whoever forgets it."""

    def __init__(self, fd: int, size_bytes: int, *, writable: bool) -> None:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = _libc.mmap(None, size_bytes, access, mmap.MAP_SHARED, fd, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise NoMemoryError
        self._address, self.size_bytes, self._writable = int(address), size_bytes, writable
        if writable:
            # large pages where the machine allows them; nothing otherwise
            _libc.madvise(self._address, size_bytes, _MADV_HUGEPAGE)

    def view(self) -> memoryview:
        """Its bytes."""
        view = memoryview((ctypes.c_char * self.size_bytes).from_address(self._address)).cast("B")
        return view if self._writable else view.toreadonly()

    def touch(self) -> None:
        """Get all pages, without the interpreter's lock; what the kernel can't do (before 5.14) the copy does."""
        for start in range(0, self.size_bytes, _TOUCH_BYTES):
            length = min(_TOUCH_BYTES, self.size_bytes - start)
            if _libc.madvise(self._address + start, length, _MADV_POPULATE_WRITE):
                return

    def unmap(self) -> None:
        """Nobody may look at it any more."""
        _libc.munmap(self._address, self.size_bytes)
