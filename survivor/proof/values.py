"""Two values that ought to be equal: how many elements differ, and by how much."""

from __future__ import annotations

import base64
import math
from typing import Any

_FLOATS = {"float64": ("<i8", "<f8"), "float32": ("<i4", "<f4"), "float16": ("<i2", "<f2"), "bfloat16": ("<i2", "<u2")}
_WIDTH = 90


def describe(expected: Any, found: Any) -> tuple[str, str, str]:
    """What was expected, what was found, and the difference in words.

    Args:
        expected, found: as `survivor.proof.tracing.record.kept` gives them; ``None`` for a value that isn't there.
    """
    if expected is None or found is None:
        return _short(expected), _short(found), ""
    if "dtype" in expected and "dtype" in found:
        return _tensors(expected, found)
    if "items" in expected and "items" in found:
        return _items(expected, found)
    return _short(expected), _short(found), ""


def _short(kept: Any) -> str:
    if kept is None:
        return "(not there)"
    if "text" in kept:
        return str(kept["text"])[:_WIDTH]
    if "items" in kept:
        return f"{kept['len']} items: {', '.join(kept['items'])}"[:_WIDTH]
    return f"{kept['dtype']} of shape {tuple(kept['shape'])}"


def _items(expected: dict[str, Any], found: dict[str, Any]) -> tuple[str, str, str]:
    a, b = expected["items"], found["items"]
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x = a[first] if first < len(a) else "(its end)"
    y = b[first] if first < len(b) else "(its end)"
    count = sum(p != q for p, q in zip(a, b, strict=False)) + abs(expected["len"] - found["len"])
    return (
        f"[{first}] {x}"[:_WIDTH],
        f"[{first}] {y}"[:_WIDTH],
        f"{count} of {max(expected['len'], found['len'])} items differ",
    )


def _tensors(expected: dict[str, Any], found: dict[str, Any]) -> tuple[str, str, str]:
    import numpy as np

    if (expected["dtype"], expected["shape"]) != (found["dtype"], found["shape"]):
        return _short(expected), _short(found), "another dtype or shape"
    if expected["data"] is None or found["data"] is None:
        return _short(expected), _short(found), "too large to be kept"
    if expected["data"] == found["data"]:
        return _short(expected), _short(found), "the bits are equal; whether it requires a gradient is not"
    data = [base64.b64decode(kept["data"]) for kept in (expected, found)]
    name = expected["dtype"]
    if name in _FLOATS:
        integer, real = _FLOATS[name]
    elif name in ("bool", "complex64", "complex128") or not hasattr(np, name):
        integer = real = "u1"
    else:
        integer = real = np.dtype(name).str
    a, b = (np.frombuffer(each, np.dtype(integer)) for each in data)
    differ = np.flatnonzero(a != b)
    index = int(differ[0])
    x, y = (_number(np.frombuffer(each, np.dtype(real))[index], name) for each in data)
    place = _place(index, expected["shape"]) if math.prod(expected["shape"]) == len(a) else ""
    words = f"{len(differ)} of {len(a)} elements differ"
    if name in _FLOATS:
        words += f", largest difference {_ulp(a, b)} ULP"
    elif integer != "u1":
        words += f", largest difference {int(np.abs(a.astype(object) - b.astype(object)).max())}"
    return f"{place}{x}", f"{place}{y}", words


def _place(index: int, shape: list[int]) -> str:
    if not shape:
        return ""
    import numpy as np

    return f"[{', '.join(str(i) for i in np.unravel_index(index, shape))}] "


def _number(value: Any, dtype: str) -> str:
    if dtype == "bfloat16":
        import numpy as np

        return repr(float(np.array([int(value) << 16], np.uint32).view(np.float32)[0]))
    return str(value)


def _ulp(a: Any, b: Any) -> int:
    """The largest number of representable values between two floats of the same place, given as integers."""
    import numpy as np

    bits = a.dtype.itemsize * 8
    lowest = -(1 << (bits - 1))

    def ordered(values: Any) -> Any:
        wide = values.astype(object)
        return np.where(wide < 0, lowest - wide, wide)

    return int(np.abs(ordered(a) - ordered(b)).max())
