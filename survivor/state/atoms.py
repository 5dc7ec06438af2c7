"""Values without identity: how they stand in a document.

A *reference* in a document is one of

- ``None``, a bool, a str, an int of at most 64 bits, a finite float: itself;
- ``[n]``: node number *n* of the graph (an object that has an identity);
- ``{"~": [kind, …]}``: one of the values below, spelled out.

Nothing here runs code that a document names: kinds are a closed set.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import fractions
import math
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from survivor.errors import FormatError

_INT64 = 1 << 63

#: Types that JSON carries as they are, before the look at their values.
PLAIN = frozenset({type(None), bool, str})


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _slice_parts(value: slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


def _encode_int(value: int) -> Any:
    return value if -_INT64 <= value < _INT64 else {"~": ["int", hex(value)]}


def _encode_float(value: float) -> Any:
    # JSON has no nan and no infinities; hex keeps the sign of a nan out of it, which Python can't set either
    return value if math.isfinite(value) else {"~": ["float", repr(value)]}


def _encode_str(value: str) -> Any:
    if value.isascii() or _utf8(value):
        return value
    return {"~": ["str", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()]}


def _tzinfo(value: Any) -> bool:
    return getattr(value, "tzinfo", None) is None or isinstance(value.tzinfo, datetime.timezone)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    type(None): lambda v: v,
    bool: lambda v: v,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    complex: lambda v: {"~": ["complex", repr(v.real), repr(v.imag)]},
    bytes: lambda v: {"~": ["bytes", base64.b64encode(v).decode()]},
    type(Ellipsis): lambda v: {"~": ["ellipsis"]},
    type(NotImplemented): lambda v: {"~": ["notimplemented"]},
    range: lambda v: {"~": ["range", _encode_int(v.start), _encode_int(v.stop), _encode_int(v.step)]},
    decimal.Decimal: lambda v: {"~": ["decimal", str(v)]},
    fractions.Fraction: lambda v: {"~": ["fraction", str(v)]},
    uuid.UUID: lambda v: {"~": ["uuid", v.hex]},
    datetime.timedelta: lambda v: {"~": ["timedelta", v.days, v.seconds, v.microseconds]},
    datetime.date: lambda v: {"~": ["date", v.isoformat()]},
    datetime.datetime: lambda v: {"~": ["datetime", v.isoformat(), v.fold]},
    datetime.time: lambda v: {"~": ["time", v.isoformat(), v.fold]},
    re.Pattern: lambda v: {"~": ["pattern", v.pattern, v.flags]},
    slice: lambda v: {"~": ["slice", *(part if part is None else _encode_int(part) for part in _slice_parts(v))]},
}
for _path_type in (pathlib.PurePosixPath, pathlib.PosixPath, pathlib.PureWindowsPath):
    _ENCODERS[_path_type] = lambda v: {"~": ["path", type(v).__name__, _encode_str(str(v))]}


def _integer(value: Any) -> int:
    if isinstance(value, int):
        return value
    result = decode_atom(value)
    if not isinstance(result, int):
        raise FormatError(f"a number was expected, not {value!r}")
    return result


_DECODERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "str": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    "complex": lambda real, imag: complex(float(real), float(imag)),
    "bytes": base64.b64decode,
    "ellipsis": lambda: Ellipsis,
    "notimplemented": lambda: NotImplemented,
    "range": lambda start, stop, step: range(_integer(start), _integer(stop), _integer(step)),
    "decimal": decimal.Decimal,
    "fraction": fractions.Fraction,
    "uuid": lambda text: uuid.UUID(hex=text),
    "timedelta": lambda d, s, us: datetime.timedelta(days=d, seconds=s, microseconds=us),
    "date": datetime.date.fromisoformat,
    "datetime": lambda text, fold: datetime.datetime.fromisoformat(text).replace(fold=fold),
    "time": lambda text, fold: datetime.time.fromisoformat(text).replace(fold=fold),
    "pattern": re.compile,
    "slice": lambda *parts: slice(*(part if part is None else _integer(part) for part in parts)),
    "path": lambda kind, text: _PATHS[kind](decode_atom(text)),
}
_PATHS: dict[str, type[pathlib.PurePath]] = {
    "PurePosixPath": pathlib.PurePosixPath,
    "PosixPath": pathlib.PosixPath,
    "PureWindowsPath": pathlib.PureWindowsPath,
}


def all_plain(values: list[Any]) -> bool:
    """Whether JSON carries all of a list's values as they are; looks at them at C speed."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return all(map(math.isfinite, values))
    if kinds == {int}:
        return bool(min(values) >= -_INT64 and max(values) < _INT64)
    if kinds == {str}:
        return all(map(str.isascii, values))
    return kinds <= {type(None), bool}


def encode_atom(value: Any) -> Any:
    """Spell out a value of a type in `is_atom_type`, for a document."""
    return _ENCODERS[type(value)](value)


def is_atom(value: Any) -> bool:
    """Whether this module can spell out ``value``: exactly its type, no subclass."""
    kind = type(value)
    if kind in (datetime.datetime, datetime.time):
        return _tzinfo(value)
    if kind is slice:
        return all(part is None or type(part) is int for part in _slice_parts(value))
    if kind is re.Pattern:
        return isinstance(value.pattern, str)
    return kind in _ENCODERS


def decode_atom(reference: Any) -> Any:
    """The value that an atomic reference stands for.

    Raises:
        FormatError: the reference is not one that `encode_atom` makes.
    """
    if not isinstance(reference, dict):
        return reference
    try:
        kind, *arguments = reference["~"]
        return _DECODERS[kind](*arguments)
    except (KeyError, TypeError, ValueError, ArithmeticError, re.error) as error:
        raise FormatError(f"not a value that survivor writes: {str(reference)[:80]} ({error})") from error


def same(a: Any, b: Any) -> bool:
    """Whether two values are atoms that a document spells alike."""
    return type(a) is type(b) and is_atom(a) and encode_atom(a) == encode_atom(b)
