"""Leaving out a stretch of a running function: as a debugger's *jump* does, through a trace function.

A generator that is put back has to come from the head of its loop to the ``yield`` where it stood. If it trains on
that way, running the way would train, visibly, a step that has been done already.
"""

from __future__ import annotations

import contextlib
import dis
import sys
from types import FrameType
from typing import Any

from survivor.training.bytecode import yields_of


def to_line(frame: FrameType, line: int, first: int, last: int) -> None:
    """Let ``frame`` go on at ``line``, once it comes to another line of those from ``first`` to ``last``.

    Nothing happens where Python can't jump (into a ``with``, say), or where somebody else traces.
    """
    if sys.gettrace() is not None or frame.f_trace is not None:
        return

    def trace(here: FrameType, event: str, _: Any) -> Any:
        if event != "line" or not first <= here.f_lineno <= last:
            return trace
        if here.f_lineno != line:
            with contextlib.suppress(ValueError):  # no way there: it runs
                here.f_lineno = line  # type: ignore[misc]
        sys.settrace(None)
        here.f_trace = None
        return None

    frame.f_trace = trace
    sys.settrace(lambda *_: None)


def line_of_yield(frame: FrameType, number: int) -> int | None:
    """The line of a function's ``yield`` of that number, in the order of its code; from 1."""
    found = yields_of(frame.f_code)
    return _line(found[number - 1], frame) if 0 < number <= len(found) else None


def _line(instruction: Any, frame: FrameType) -> int | None:
    positions = getattr(instruction, "positions", None)
    if positions is not None:
        return int(positions.lineno) if positions.lineno is not None else None
    lines = [line for start, line in dis.findlinestarts(frame.f_code) if start <= instruction.offset]
    return lines[-1] if lines else None
