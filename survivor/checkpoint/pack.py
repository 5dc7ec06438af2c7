"""Packs: safetensors files that are written in one pass and hold their own digests (docs/format.md, "Pack").

The layout is written here and not by the safetensors package because that one wants all tensors
as ``bytes`` in memory at once; here the blobs' own memory goes to the store without a copy.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import xxhash

from survivor.checkpoint.envelope import dump
from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError

#: Bits of one element, by safetensors' name.
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64, "F4": 4,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8,
}  # fmt: skip

SUFFIX = ".safetensors"
DIMENSIONS_MAX = 64
NAME_MAX = 1024
HEADER_MAX_BYTES = 100_000_000  # safetensors' own bound
SIZE_MAX_BYTES = 1 << 62
_ALIGNMENT_BYTES = 64


def digest(data: memoryview | bytes) -> str:
    """Return the XXH3-128 of some bytes, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(data)


def size_bytes(dtype: str, shape: Iterable[int], where: str) -> int:
    """Return how many bytes a tensor takes; raises ``FormatError`` for what no tensor can be."""
    bits = DTYPE_BITS.get(dtype)
    if bits is None:
        raise FormatError(f"{where}: there is no dtype {dtype[:40]!r} in a pack")
    total = math.prod(shape) * bits
    if total % 8 or not 0 <= total <= SIZE_MAX_BYTES:
        raise FormatError(f"{where}: a {dtype} of this shape does not fill whole bytes")
    return total // 8


def check_blob_name(name: str, where: str) -> None:
    """Raise ``FormatError`` unless a safetensors header can hold ``name`` (any text but control characters)."""
    if not 0 < len(name) <= NAME_MAX or name == "__metadata__" or not name.isprintable():
        raise FormatError(f"{where}: {name[:80]!r} can't name a blob")


@dataclass(frozen=True)
class Layout:
    """A pack about to be written: its header's bytes, and where in the file each blob goes."""

    header: bytes
    blobs: list[Blob]
    offsets: list[int]
    size_bytes: int

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the file in their order, without copying any blob."""
        yield self.header
        for blob in self.blobs:
            yield blob.data


def lay_out(items: Iterable[tuple[Blob, str]]) -> Layout:
    """Return the layout of a pack for blobs and their digests."""
    # descending element sizes keep every tensor aligned to its own without gaps, which safetensors forbids
    ordered = sorted(items, key=lambda item: -DTYPE_BITS[item[0].dtype])
    entries: dict[str, Any] = {}
    ends: list[int] = []
    position = 0
    for blob, _ in ordered:
        start, position = position, position + blob.data.nbytes
        entries[blob.name] = {"dtype": blob.dtype, "shape": list(blob.shape), "data_offsets": [start, position]}
        ends.append(position)
    digests = dump({blob.name: value for blob, value in ordered}, "pack").decode()
    entries["__metadata__"] = {"survivor": "pack", "version": "1", "digests": digests}
    text = dump(entries, "pack")
    text += b" " * (-(8 + len(text)) % _ALIGNMENT_BYTES)
    if len(text) > HEADER_MAX_BYTES:
        raise FormatError(f"{len(ordered)} tensors need a pack header of {len(text)} bytes; "
                          f"{HEADER_MAX_BYTES} are allowed")  # fmt: skip
    header = struct.pack("<Q", len(text)) + text
    starts = [len(header) + start for start in [0, *ends[:-1]]]
    return Layout(header, [blob for blob, _ in ordered], starts, len(header) + position)
