"""A manifest: what makes a set of packs a checkpoint (docs/format.md, "Manifest").

Everything that comes from a file is checked here, once, so that the rest of the package can trust its types.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from survivor.checkpoint import pack
from survivor.checkpoint.envelope import Envelope, is_moment, seal, unseal
from survivor.checkpoint.names import Stamp, parse_stamp
from survivor.checkpoint.snapshot import Json
from survivor.errors import FormatError

SUFFIX = ".json"
BLOBS_MAX = 1_000_000
PACKS_MAX = 10_000
_DIGEST = re.compile(r"[0-9a-f]{32}")
_INT_MAX = (1 << 63) - 1
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

T = TypeVar("T")


@dataclass(frozen=True)
class PackRef:
    """A pack as a manifest names it: its stamp, length, header length and header digest."""

    stamp: Stamp
    size_bytes: int
    header_bytes: int
    digest: str


@dataclass(frozen=True)
class BlobRef:
    """Where the bytes of a blob lie, and how to know them."""

    dtype: str
    shape: tuple[int, ...]
    pack: PackRef
    offset: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """What can be told of a checkpoint without its document; time is in seconds since 1970."""

    stamp: Stamp
    session: int
    position: str
    time: float
    metrics: dict[str, float]
    origin: dict[str, Any]
    size_bytes: int
    written_bytes: int
    count: int
    packs: tuple[PackRef, ...]


@dataclass(frozen=True)
class Manifest:
    """A manifest whose seal holds; the body is parsed when it is asked for."""

    head: Head
    envelope: Envelope

    def body(self) -> tuple[dict[str, BlobRef], Json]:
        """Return where each blob lies, and the document; raises ``FormatError``."""
        where = self.envelope.where
        body = _typed(self.envelope.body(), dict, where, "body")
        blobs = _typed(body.get("blobs"), dict, where, "blobs")
        if len(blobs) > BLOBS_MAX:
            raise FormatError(f"{where}: {len(blobs)} blobs are more than the {BLOBS_MAX} allowed")
        refs = {name: _blob(name, entry, self.head.packs, where) for name, entry in blobs.items()}
        return refs, body.get("document")


def write(head: Head, blobs: dict[str, BlobRef], document: Json) -> bytes:
    """Return the bytes of a manifest; raises ``FormatError`` if a reader would refuse them."""
    index = {ref: number for number, ref in enumerate(head.packs)}
    entries = {
        name: [ref.dtype, list(ref.shape), index[ref.pack], ref.offset, ref.digest]
        for name, ref in blobs.items()
    }
    if len(entries) > BLOBS_MAX or len(index) > PACKS_MAX:
        raise FormatError(f"{len(entries)} blobs in {len(index)} packs are more than a manifest may name")
    return seal("manifest", str(head.stamp), _head_json(head), {"blobs": entries, "document": document})


def read(stamp: Stamp, data: memoryview, where: str) -> Manifest:
    """Check the bytes of a manifest file; raises ``FormatError`` or ``NewerFormatError``."""
    envelope = unseal("manifest", str(stamp), data, where)
    return Manifest(_head(stamp, envelope.head, where), envelope)


def _head_json(head: Head) -> dict[str, Any]:
    return {
        "name": str(head.stamp),
        "token": head.stamp.token,
        "session": head.session,
        "step": head.stamp.step,
        "position": head.position,
        "time": head.time,
        "metrics": {name: _metric_json(value) for name, value in head.metrics.items()},
        "origin": head.origin,
        "size": head.size_bytes,
        "written": head.written_bytes,
        "count": head.count,
        "packs": [
            {"name": str(ref.stamp), "size": ref.size_bytes, "header": ref.header_bytes, "digest": ref.digest}
            for ref in head.packs
        ],
    }


def _metric_json(value: float) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def _head(stamp: Stamp, head: dict[str, Any], where: str) -> Head:
    packs = _typed(head.get("packs"), list, where, "packs")
    if len(packs) > PACKS_MAX:
        raise FormatError(f"{where}: {len(packs)} packs are more than the {PACKS_MAX} allowed")
    if (head.get("token"), head.get("step")) != (stamp.token, stamp.step):
        raise FormatError(f"{where}: its token and step are not those of its name")
    metrics = _typed(head.get("metrics"), dict, where, "metrics")
    return Head(
        stamp=stamp,
        session=_count(head.get("session"), where, "session"),
        position=_typed(head.get("position"), str, where, "position"),
        time=_moment(head.get("time"), where),
        metrics={name: _number(value, where, "metrics") for name, value in metrics.items()},
        origin=_typed(head.get("origin"), dict, where, "origin"),
        size_bytes=_count(head.get("size"), where, "size"),
        written_bytes=_count(head.get("written"), where, "written"),
        count=_count(head.get("count"), where, "count"),
        packs=tuple(_pack(entry, where) for entry in packs),
    )


def _pack(entry: object, where: str) -> PackRef:
    fields = _typed(entry, dict, where, "packs")
    stamp = parse_stamp(_typed(fields.get("name"), str, where, "packs"))
    if stamp is None:
        raise FormatError(f"{where} names a pack in a way that is not allowed")
    size = _count(fields.get("size"), where, "packs")
    header = _count(fields.get("header"), where, "packs")
    if not 8 < header <= min(size, pack.HEADER_MAX_BYTES + 8):
        raise FormatError(f"{where}: a pack header of {header} in {size} bytes is not allowed")
    return PackRef(stamp, size, header, _digest(fields.get("digest"), where))


def _blob(name: str, entry: object, packs: tuple[PackRef, ...], where: str) -> BlobRef:
    pack.check_blob_name(name, where)
    fields = _typed(entry, list, where, "blobs")
    if len(fields) < 5:
        raise FormatError(f"{where}: the entry of blob {name[:80]!r} is too short")
    dtype, shape, number, offset, digest = fields[:5]
    dimensions = _typed(shape, list, where, "blobs")
    if len(dimensions) > pack.DIMENSIONS_MAX:
        raise FormatError(f"{where}: blob {name[:80]!r} has {len(dimensions)} dimensions")
    sizes = tuple(_count(size, where, "blobs") for size in dimensions)
    if _count(number, where, "blobs") >= len(packs):
        raise FormatError(f"{where}: blob {name[:80]!r} lies in a pack that is not named")
    ref = packs[number]
    length = pack.size_bytes(_typed(dtype, str, where, "blobs"), sizes, where)
    if not ref.header_bytes <= _count(offset, where, "blobs") <= ref.size_bytes - length:
        raise FormatError(f"{where}: blob {name[:80]!r} lies outside its pack")
    return BlobRef(dtype, sizes, ref, offset, length, _digest(digest, where))


def _typed(value: Any, kind: type[T], where: str, what: str) -> T:
    if not isinstance(value, kind):
        raise FormatError(f"{where}: {what!r} is not what it should be")
    return value


def _count(value: object, where: str, what: str) -> int:
    if type(value) is not int or not 0 <= value <= _INT_MAX:
        raise FormatError(f"{where}: {what!r} holds something that is no count")
    return value


def _number(value: object, where: str, what: str) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if type(value) not in (int, float):
        raise FormatError(f"{where}: {what!r} holds something that is no number")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError as error:
        raise FormatError(f"{where}: {what!r} holds a number that is too large") from error


def _moment(value: object, where: str) -> float:
    if not is_moment(value):
        raise FormatError(f"{where}: 'time' holds something that is no time")
    return float(value)  # type: ignore[arg-type]


def _digest(value: object, where: str) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise FormatError(f"{where} holds something that is no digest")
    return value
