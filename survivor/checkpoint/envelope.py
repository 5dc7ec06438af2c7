"""The frame around every small file: a head line, a JSON body, a seal over both (docs/format.md, "Envelope").

The seal is checked over the stored bytes before anything is parsed or decompressed, so that a
parser only ever meets what a survivor wrote, or what someone forged on purpose. Against the latter every
size is bounded before memory is taken for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from survivor.checkpoint.snapshot import Json
from survivor.errors import FormatError, NewerFormatError

VERSION = 1
FILE_MAX_BYTES = 256 << 20
HEAD_MAX_BYTES = 16 << 20
BODY_MAX_BYTES = 256 << 20
NESTING_MAX = 500
#: Seconds since 1970 that a clock may show (the year 5138); later ones make the library's own functions fail.
MOMENT_MAX_S = 1e11

_COMPRESS_FROM_BYTES = 64 << 10
_SEAL_BYTES = len('{"sha256": ""}\n') + 64
_SEAL = re.compile(rb'\{"sha256": "([0-9a-f]{64})"\}\n')
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DEPTH = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


@dataclass(frozen=True)
class Envelope:
    """An opened envelope: its head, and its body still packed, since a listing needs heads only."""

    where: str
    head: dict[str, Any]
    encoding: str
    size_bytes: int
    packed: memoryview

    def body(self) -> Json:
        """Unpack and parse the body; raises ``FormatError``."""
        raw = self.packed.tobytes() if self.encoding == "json" else self._inflate()
        if len(raw) != self.size_bytes:
            raise FormatError(f"{self.where}: the body has {len(raw)} bytes and not {self.size_bytes}")
        return parse(raw, self.where)

    def _inflate(self) -> bytes:
        stream = zlib.decompressobj()
        try:
            raw = stream.decompress(self.packed, self.size_bytes + 1)
        except zlib.error as error:
            raise FormatError(f"{self.where}: the body can't be decompressed: {error}") from error
        if not stream.eof or stream.unused_data:
            raise FormatError(f"{self.where}: the compressed body does not end where it should")
        return raw


def seal(kind: str, name: str, head: dict[str, Any], body: Json = None) -> bytes:
    """Return the bytes of an envelope.

    Raises:
        FormatError: what was given is no JSON, or too large or too deeply nested to be read again.
    """
    where = f"{kind} {name}"
    raw = dump(body, where)
    if len(raw) > BODY_MAX_BYTES:
        raise FormatError(f"{where}: {len(raw)} bytes of JSON are more than the {BODY_MAX_BYTES} allowed")
    _check_nesting(raw, where)
    encoding, packed = "json", raw
    if len(raw) > _COMPRESS_FROM_BYTES:
        encoding, packed = "zlib", zlib.compress(raw, 1)
    frame = {"survivor": kind, "version": VERSION, "name": name, "encoding": encoding, "size": len(raw)}
    first = dump({**frame, "head": head}, where)
    if len(first) >= HEAD_MAX_BYTES:
        raise FormatError(f"{where}: a head of {len(first)} bytes is more than the {HEAD_MAX_BYTES} allowed")
    data = b"".join((first, b"\n", packed, b"\n"))
    return data + b'{"sha256": "%s"}\n' % hashlib.sha256(data).hexdigest().encode()


def unseal(kind: str, name: str, data: memoryview, where: str) -> Envelope:
    """Check an envelope and return it; ``where`` names the file in errors.

    Raises:
        FormatError: torn, changed, of another kind or name, or beyond the bounds.
        NewerFormatError: whole, but of a version that this survivor does not know.
    """
    content = _unbroken(data, where)
    first, newline, packed = _split(content)
    if not newline or packed is None:
        raise FormatError(f"{where}: there is no head line within {HEAD_MAX_BYTES} bytes")
    frame = parse(first, where)
    if not isinstance(frame, dict) or not isinstance(frame.get("version"), int):
        raise FormatError(f"{where}: the head line is not survivor's")
    if frame["version"] > VERSION:
        raise NewerFormatError(
            f"{where} has format {frame['version']}; this survivor knows formats up to {VERSION}",
            advice="Upgrade survivor: pip install -U survivor",
        )
    if frame.get("survivor") != kind or frame.get("name") != name:
        raise FormatError(
            f"{where} holds {_short(frame.get('survivor'))} {_short(frame.get('name'))} instead"
        )
    head, size, encoding = frame.get("head"), frame.get("size"), frame.get("encoding")
    if not isinstance(head, dict) or encoding not in ("json", "zlib"):
        raise FormatError(f"{where}: the head line is not survivor's")
    if type(size) is not int or not 0 <= size <= BODY_MAX_BYTES:
        raise FormatError(f"{where}: a body of {_short(size)} bytes is not allowed")
    return Envelope(where, head, encoding, size, packed)


def _unbroken(data: memoryview, where: str) -> memoryview:
    if len(data) > FILE_MAX_BYTES:
        raise FormatError(f"{where}: {len(data)} bytes are more than the {FILE_MAX_BYTES} allowed")
    match = _SEAL.fullmatch(data[-_SEAL_BYTES:])
    if match is None:
        raise FormatError(f"{where} is cut short or empty: it does not end with its seal")
    content = data[:-_SEAL_BYTES]
    if hashlib.sha256(content).hexdigest().encode() != match[1]:
        raise FormatError(f"{where} was changed after it was written: its seal does not hold")
    return content


def _split(content: memoryview) -> tuple[bytes, bytes, memoryview | None]:
    first, newline, _ = content[:HEAD_MAX_BYTES].tobytes().partition(b"\n")
    packed = content[len(first) + 1 : -1]
    ended = len(content) > len(first) + 1 and content[-1] == ord("\n")
    return first, newline, packed if ended else None


def is_moment(value: object) -> bool:
    """Whether this is a number that can be a time: JSON knows whole numbers of any length, and 1e999."""
    return type(value) in (int, float) and -MOMENT_MAX_S < value < MOMENT_MAX_S  # type: ignore[operator]


def dump(value: Json, where: str) -> bytes:
    """Return JSON as ASCII bytes; raises ``FormatError`` if ``value`` is none."""
    try:
        return json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"{where} can't be written as JSON: {error}") from error


def parse(raw: bytes, where: str) -> Json:
    """Return what ASCII JSON bytes spell; raises ``FormatError``."""
    _check_nesting(raw, where)
    try:
        return json.loads(raw.decode("ascii"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is no JSON: {str(error)[:200]}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")


def _check_nesting(raw: bytes, where: str) -> None:
    if raw.count(b"[") + raw.count(b"{") <= NESTING_MAX:
        return
    brackets = _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_DEPTH.__getitem__, brackets)), default=0) > NESTING_MAX:
        raise FormatError(f"{where}: nested deeper than {NESTING_MAX} levels")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
