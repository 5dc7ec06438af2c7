"""Functions on their way from parent to child and back, by cloudpickle, with the file that their code is from.

cloudpickle 3.1.3 and later leave a code's file name out. survivor finds the source by it, for the loops, and so does
a traceback for its lines.
"""

from __future__ import annotations

import io
import types
from collections import ChainMap
from typing import Any, ClassVar

import cloudpickle


def _with_filename(arguments: tuple[Any, ...], filename: str) -> types.CodeType:
    return types.CodeType(*arguments).replace(co_filename=filename)


def _reduce_code(code: types.CodeType) -> Any:
    make, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    assert make is types.CodeType, make
    return _with_filename, (arguments, code.co_filename)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Cloudpickle, with file names."""

    dispatch_table: ClassVar[Any] = ChainMap({types.CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table)


def dumps(value: Any) -> bytes:
    """The bytes of a value, for a process that we started ourselves or that started us."""
    with io.BytesIO() as file:
        Pickler(file).dump(value)
        return file.getvalue()
