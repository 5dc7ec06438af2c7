"""Packs: safetensors files that are written in one pass and hold their own digests (docs/format.md, "Pack").

The layout is written here and not by the safetensors package because that one wants all tensors
as ``bytes`` in memory at once; here the blobs' own memory goes to the store without a copy.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import xxhash

from survivor.checkpoint.envelope import dump, parse
from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError
from survivor.store.base import BLOCK_BYTES, Headed

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
#: In a pack of this size or more data begins at a whole block.
_BLOCKS_FROM_BYTES = 1 << 20
_PIECE_BYTES = 8 << 20
_NO_DIGEST = "0" * 32


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
    """Raise ``FormatError`` unless ``name`` is printable text that a safetensors header can hold."""
    if not 0 < len(name) <= NAME_MAX or name == "__metadata__" or not name.isprintable():
        raise FormatError(f"{where}: {name[:80]!r} can't name a blob")


class Layout:
    """A pack about to be written: where in the file each blob goes, and its header, known once all digests are.

    Attributes:
        blobs, offsets: the blobs in the order of the file, and where each begins.
        header_bytes, size_bytes: of the header and of the whole file.
    """

    def __init__(self, name: str, items: Iterable[tuple[Blob, str]]) -> None:
        """Lay out the pack of that name; a digest that is "" is worked out as the blob is written."""
        # descending element sizes keep every tensor aligned to its own without gaps, which safetensors forbids;
        # first whole blocks, which can go to a disk from where they lie
        ordered = sorted(items, key=lambda item: (-DTYPE_BITS[item[0].dtype], item[0].data.nbytes % BLOCK_BYTES != 0))
        self._name = name
        self.blobs = [blob for blob, _ in ordered]
        self._digests = {blob.name: value for blob, value in ordered}
        self._starts = list(accumulate((blob.data.nbytes for blob in self.blobs), initial=0))
        total = self._starts.pop()
        unpadded = len(self._text({name: value or _NO_DIGEST for name, value in self._digests.items()}))
        alignment = BLOCK_BYTES if total >= _BLOCKS_FROM_BYTES else _ALIGNMENT_BYTES
        self.header_bytes = -(-(8 + unpadded) // alignment) * alignment
        if self.header_bytes > HEADER_MAX_BYTES:
            raise FormatError(f"{len(ordered)} tensors need a pack header of {self.header_bytes} bytes; "
                              f"{HEADER_MAX_BYTES} are allowed")  # fmt: skip
        self.size_bytes = self.header_bytes + total
        self.offsets = [self.header_bytes + start for start in self._starts]
        self._header = b""

    def digest(self, blob: Blob) -> str:
        """A blob's digest; "" before it is known."""
        return self._digests[blob.name]

    def file(self) -> Headed:
        """The bytes of the file, without a copy of any blob."""
        return Headed(self.header_bytes, self.size_bytes, self._body, self.header)

    def _body(self) -> Iterator[memoryview]:
        for blob in self.blobs:
            if self._digests[blob.name]:
                yield blob.data
                continue
            # hashed piece by piece as it is taken, while the piece before is on its way to the disk
            state = xxhash.xxh3_128()
            for start in range(0, blob.data.nbytes, _PIECE_BYTES):
                piece = blob.data[start : start + _PIECE_BYTES]
                state.update(piece)
                yield piece
            self._digests[blob.name] = state.hexdigest()

    def header(self) -> bytes:
        """The file's first bytes, once all digests are known."""
        if not self._header:
            text = self._text(self._digests)
            self._header = struct.pack("<Q", self.header_bytes - 8) + text.ljust(self.header_bytes - 8)
        return self._header

    def _text(self, digests: dict[str, str]) -> bytes:
        entries: dict[str, Any] = {}
        for blob, start in zip(self.blobs, self._starts, strict=True):
            place = [start, start + blob.data.nbytes]
            entries[blob.name] = {"dtype": blob.dtype, "shape": list(blob.shape), "data_offsets": place}
        text = dump(digests, "pack").decode()
        entries["__metadata__"] = {"survivor": "pack", "version": "1", "name": self._name, "digests": text}
        return dump(entries, "pack")


@dataclass(frozen=True)
class Entry:
    """One tensor in a pack: its place in the file, and the digest that the pack itself records."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int
    digest: str


def header_bytes(prefix: memoryview, where: str) -> int:
    """Return how long the header of a pack is, from its first 8 bytes; raises ``FormatError``."""
    if len(prefix) < 8:
        raise FormatError(f"{where} is cut short: it has no header")
    length = 8 + int(struct.unpack("<Q", prefix[:8])[0])
    if length > HEADER_MAX_BYTES + 8:
        raise FormatError(f"{where}: a header of {length} bytes is more than the {HEADER_MAX_BYTES} allowed")
    return length


def read_header(name: str, header: memoryview, file_bytes: int, where: str) -> dict[str, Entry]:
    """Return what lies in the pack called ``name``, of ``file_bytes``, that begins with ``header``.

    Raises:
        FormatError: it is none of survivor's, or its tensors do not fill it without gap or overlap.
    """
    table = parse(bytes(header[8:]), where)
    if not isinstance(table, dict):
        raise FormatError(f"{where}: the header is not survivor's")
    digests = _digests(name, table.pop("__metadata__", None), where)
    entries = {key: _entry(key, fields, len(header), digests, where) for key, fields in table.items()}
    position = len(header)
    for entry in sorted(entries.values(), key=lambda entry: (entry.offset, entry.size_bytes)):
        if entry.offset != position:
            raise FormatError(f"{where}: its tensors leave a gap or overlap at byte {position}")
        position += entry.size_bytes
    if position != file_bytes:
        raise FormatError(f"{where} has {file_bytes} bytes and not {position}")
    return entries


def _digests(name: str, metadata: Any, where: str) -> dict[str, Any]:
    if not isinstance(metadata, dict) or metadata.get("name") != name:
        raise FormatError(f"{where}: the header is not that of this pack")
    text = metadata.get("digests")
    digests = parse(text.encode("ascii", "replace"), where) if isinstance(text, str) else None
    if not isinstance(digests, dict):
        raise FormatError(f"{where}: the header holds no digests")
    return digests


def _entry(name: str, fields: Any, start: int, digests: dict[str, Any], where: str) -> Entry:
    try:
        dtype, shape, (begin, end) = fields["dtype"], fields["shape"], fields["data_offsets"]
        numbers = [*shape, begin, end]
    except (TypeError, KeyError, ValueError) as error:
        raise FormatError(f"{where}: the entry of {name[:80]!r} is not a tensor's") from error
    whole = all(type(number) is int and 0 <= number <= SIZE_MAX_BYTES for number in numbers)
    if not whole or len(shape) > DIMENSIONS_MAX or not isinstance(dtype, str):
        raise FormatError(f"{where}: the entry of {name[:80]!r} is not a tensor's")
    if end - begin != size_bytes(dtype, shape, where) or not isinstance(digests.get(name), str):
        raise FormatError(f"{where}: the length or digest of {name[:80]!r} is missing or wrong")
    return Entry(dtype, tuple(shape), start + begin, end - begin, digests[name])
