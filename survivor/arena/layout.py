"""What lies where in a slot: a head, the blobs, and an index with the document and the blobs' places.

The head is written last and holds its own checksum, so that a slot without a good head holds nothing.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from survivor.checkpoint.envelope import dump
from survivor.checkpoint.snapshot import Blob, Snapshot, mark_of

MAGIC = b"SRVARENA"
HEAD = struct.Struct("<8sQQQQ")  # magic, sequence number, end of the data, length of index, length of summary
HEAD_BYTES = 4096
_SUMMARY_AT = HEAD.size + 4
_SUMMARY_MAX_BYTES = 2048
_ALIGNMENT_BYTES = 64
#: A blob of this size or more begins at a page of memory, so that a disk can take it from where it lies.
_PAGES_FROM_BYTES = 1 << 16
_PAGE_BYTES = 4096


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


def lay_out(snapshot: Snapshot) -> tuple[list[tuple[int, Blob]], list[Any], int]:
    """Each blob's place in a slot, the same for the index, and where the data ends.

    What can't change (the frozen levels of outer loops) comes first, so that it lies in the same place each time.
    """
    ordered = sorted(snapshot.blobs.items(), key=lambda item: mark_of(item[1].data) is None)
    placed: list[tuple[int, Blob]] = []
    index: list[Any] = []
    position = HEAD_BYTES
    for name, blob in ordered:
        alignment = _PAGE_BYTES if blob.data.nbytes >= _PAGES_FROM_BYTES else _ALIGNMENT_BYTES
        position = -(-position // alignment) * alignment
        placed.append((position, blob))
        index.append([name, blob.dtype, list(blob.shape), position, blob.data.nbytes])
        position += blob.data.nbytes
    return placed, index, position


def _summary(held: Held) -> bytes:
    fields = [held.step, held.position[:300], held.size_bytes, held.taken_at]
    return json.dumps(fields).encode()[:_SUMMARY_MAX_BYTES]


def index_of(snapshot: Snapshot, blobs: list[Any]) -> bytes:
    """The index of a snapshot whose blobs lie as `lay_out` says; raises ``FormatError`` if it is no JSON."""
    metrics = {name: repr(float(value)) for name, value in snapshot.metrics.items()}
    fields = {"document": snapshot.document, "blobs": blobs, "position": snapshot.position, "metrics": metrics}
    return dump(fields, "a snapshot")


def write_head(fd: int, held: Held, end: int, index_bytes: int) -> None:
    """Make a slot valid, by one call of the kernel, which also orders our copies before it on every processor."""
    summary = _summary(held)
    os.pwrite(fd, summary, _SUMMARY_AT)
    head = HEAD.pack(MAGIC, held.seq, end, index_bytes, len(summary))
    os.pwrite(fd, head + struct.pack("<I", zlib.crc32(head)), 0)


def clear_head(fd: int) -> None:
    """Make a slot hold nothing."""
    os.pwrite(fd, bytes(HEAD.size), 0)


def newest(fds: tuple[int, ...]) -> Held | None:
    """The newest whole snapshot, if there is one."""
    found = [held for fd in fds if (held := held_in(fd)) is not None]
    return max(found, key=lambda held: held.seq, default=None)


def held_in(fd: int) -> Held | None:
    """What a slot holds; None if it is empty or being written."""
    data = os.pread(fd, _SUMMARY_AT + _SUMMARY_MAX_BYTES, 0)
    if len(data) < _SUMMARY_AT:
        return None
    head = data[: HEAD.size]
    magic, seq, _, _, length = HEAD.unpack(head)
    if magic != MAGIC or struct.pack("<I", zlib.crc32(head)) != data[HEAD.size : _SUMMARY_AT]:
        return None
    step, position, size_bytes, taken_at = json.loads(data[_SUMMARY_AT:][:length])
    return Held(seq=seq, step=step, position=position, size_bytes=size_bytes, taken_at=taken_at)


def snapshot_in(held: Held, fd: int, memory: memoryview) -> Snapshot:
    """The snapshot in a slot that holds still, without a copy of its bytes."""
    _, _, end, length, _ = HEAD.unpack(os.pread(fd, HEAD.size, 0))
    index = json.loads(bytes(memory[end : end + length]))
    blobs = {
        name: Blob(name=name, dtype=dtype, shape=tuple(shape), data=memory[offset : offset + size])
        for name, dtype, shape, offset, size in index["blobs"]
    }
    metrics = {name: float(value) for name, value in index["metrics"].items()}
    return Snapshot(
        document=index["document"], blobs=blobs, step=held.step, position=index["position"], metrics=metrics
    )
