"""How a checkpoint holds the job's output: in pieces, so that what is full is written once and then referred to.

The output itself lies in memory that child, supervisor and writer share and that only grows. A snapshot holds no byte
of it, only how far it had come; whoever makes the snapshot a checkpoint takes the pieces from there. So a snapshot
costs the same after ten lines and after ten million.

Pieces of one size don't work: a long log has thousands, named in each manifest. Solution: the larger part of a long
output lies in large pieces. Sixteen full pieces give way to one of sixteen times the size, so each byte is written
four times at most, and a manifest names some dozens.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import FormatError

#: Sizes of full pieces; what is left in the end is shorter than the last of them.
PIECE_BYTES = (256 << 20, 16 << 20, 1 << 20, 64 << 10)
#: Names of the pieces among a snapshot's blobs; a state's own blobs have no such names.
PREFIX = "output/"


def cut(data: memoryview) -> tuple[dict[str, Any], dict[str, Blob]]:
    """What a document says of the output, and the blobs that hold it."""
    found, rest = [], data
    for size in PIECE_BYTES:
        while len(rest) >= size:
            found.append(rest[:size])
            rest = rest[size:]
    found += [rest] if rest else []
    names = [f"{PREFIX}{number}" for number in range(len(found))]
    blobs = {
        name: Blob(name=name, dtype="U8", shape=(len(piece),), data=piece)
        for name, piece in zip(names, found, strict=True)
    }
    return {"size": len(data), "pieces": len(found)}, blobs


def joined_by(snapshot: Snapshot, fd: int) -> Snapshot:
    """The snapshot with the output that it had seen, as it lies in ``fd``; without one it stays as it is."""
    said = snapshot.document.get("output") if isinstance(snapshot.document, dict) else None
    if not isinstance(said, dict) or "pieces" in said or fd < 0:
        return snapshot
    size = said["size"]
    memory = memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ) if size else b"")
    part, blobs = cut(memory)
    return replace(snapshot, document=snapshot.document | {"output": part}, blobs=snapshot.blobs | blobs)


def pieces(document: Any, blobs: Mapping[str, Blob]) -> list[memoryview]:
    """The output that a checkpoint holds, piece by piece; none where it holds none.

    Raises:
        FormatError: its pieces do not make what the document says.
        StoreError: the store can't be read.
    """
    output = document.get("output") if isinstance(document, dict) else None
    if output is None:
        return []
    try:
        found = [blobs[f"{PREFIX}{number}"].data for number in range(output["pieces"])]
        size = output["size"]
    except (KeyError, TypeError) as error:
        raise FormatError(f"the checkpoint's output is not whole: {error}") from error
    if sum(len(piece) for piece in found) != size:
        raise FormatError(f"the checkpoint's output has {sum(len(piece) for piece in found)} bytes and not {size}")
    return found
