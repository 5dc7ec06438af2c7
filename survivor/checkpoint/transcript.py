"""How a checkpoint holds the job's output: in pieces, so that what is full is written once and then referred to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError

#: A piece that is full does not change any more: a checkpoint refers to it and writes only the last one.
PIECE_BYTES = 64 << 10
#: Names of the pieces among a snapshot's blobs; a state's own blobs have no such names.
PREFIX = "output/"


def cut(data: bytes) -> tuple[dict[str, Any], dict[str, Blob]]:
    """What a document says of the output, and the blobs that hold it."""
    blobs: dict[str, Blob] = {}
    for start in range(0, len(data), PIECE_BYTES):
        name = f"{PREFIX}{len(blobs)}"
        piece = memoryview(data)[start : start + PIECE_BYTES]
        blobs[name] = Blob(name=name, dtype="U8", shape=(len(piece),), data=piece)
    return {"size": len(data), "pieces": len(blobs)}, blobs


def joined(document: Any, blobs: Mapping[str, Blob]) -> bytes:
    """The output that a checkpoint holds; empty where it holds none.

    Raises:
        FormatError: its pieces do not make what the document says.
        StoreError: the store can't be read.
    """
    output = document.get("output") if isinstance(document, dict) else None
    if output is None:
        return b""
    try:
        data = b"".join(bytes(blobs[f"{PREFIX}{number}"].data) for number in range(output["pieces"]))
        size = output["size"]
    except (KeyError, TypeError) as error:
        raise FormatError(f"the checkpoint's output is not whole: {error}") from error
    if len(data) != size:
        raise FormatError(f"the checkpoint's output has {len(data)} bytes and not {size}")
    return data
