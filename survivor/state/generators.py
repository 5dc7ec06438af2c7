"""Generators of the user's own: suspended at a ``yield``, and put back there.

A generator can't be copied. But its source is instrumented like the rest, so its loops tell their
positions. To put one back, an unstarted generator is *driven*: run until the loops that it stood in, each of
which is handed the restored iterator and the item of the body that was in progress, and on to the
``yield`` where it stood. Loops that it comes by on the way are passed over; its variables are set to what
they were wherever it is handed control. What the driven stretch did to other objects is undone by
restoring those afterwards.

A generator expression with one ``for`` is no more than the iterator below it, and is made again from that.
Progress bars (``for x in tqdm(loader)``) are generators of a library's: see `survivor.state.progress`.
"""

from __future__ import annotations

import bisect
import contextlib
import inspect
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from survivor.errors import DivergedError
from survivor.state import jump, progress
from survivor.state.scope import Scope
from survivor.training import frames
from survivor.training.bytecode import flow_of, yields_of

_EXPRESSION = "<genexpr>"
#: A body whose way to the inner loop hangs on chance is run until it comes there.
_MOST_TRIES = 1000


@dataclass
class _Drive:
    """A generator that is being put back.

    Attributes:
        loops: those that it has yet to reach, outermost first.
        variables: its variables at the place where it stood.
        place: number of the ``yield`` where it stood, see `place_of`.
        delegate: the iterator that a ``yield from`` stood in.
    """

    generator: Any
    loops: list[dict[str, Any]]
    variables: dict[str, Any]
    place: int
    delegate: Any
    tries: int = 0


class Lanes:
    """The loops of suspended generators, as the engine's hooks know them; set once per process."""

    running: ClassVar[dict[types.FrameType, list[Any]]] = {}
    drive: ClassVar[_Drive | None] = None


def name(value: Any, scope: Scope) -> str:
    """The name of a generator's function in a document."""
    if progress.bar_of(value) is not None:
        return progress.NAME
    return scope.code_name(value.gi_code) or f":{value.__qualname__}"


def parts(value: Any, scope: Scope) -> dict[str, Any] | None:  # noqa: PLR0911  # one return a case
    """What is carried of a generator; ``None`` if that is not enough to put it back."""
    if progress.bar_of(value) is not None:
        return progress.parts(value)
    if scope.code_name(value.gi_code) is None:
        return None
    state = inspect.getgeneratorstate(value)
    if state in (inspect.GEN_CLOSED, inspect.GEN_RUNNING):
        return {"state": state}
    cells = frames.cells_of(value)
    if cells is None:
        return None
    held: dict[str, Any] = {"state": state, "cells": cells}
    if value.gi_code.co_name == _EXPRESSION:
        if state == inspect.GEN_SUSPENDED and _count(value.gi_code, "FOR_ITER") != 1:
            return None
        return held | {"iterator": value.gi_frame.f_locals[".0"]}
    held["locals"] = frames.read(value.gi_frame)
    if state == inspect.GEN_SUSPENDED:
        records = Lanes.running.get(value.gi_frame, ())
        held["loops"] = [{"site": r.site.key, "done": r.done, "iterator": r.iterator, "item": r.item} for r in records]
        held["place"] = place_of(value)
        below = value.gi_yieldfrom
        held["delegate"] = below.iterator if isinstance(below, Delegate) else below
    return held


def rebuild(function: str, references: dict[str, Any], live: Any, decoder: Any) -> Any:  # noqa: PLR0911  # as above
    """The generator that a document describes: ``live`` put back, or a new one; ``None`` if there is no way."""
    from survivor.state.pairing import MISSING

    if function == progress.NAME:
        return progress.rebuild(decoder.value(references["inner"]), decoder.value(references["count"]), live, MISSING)
    state = decoder.value(references["state"])
    if state == inspect.GEN_RUNNING:
        return live if live is not MISSING else None
    if state == inspect.GEN_CLOSED:
        if live is not MISSING:
            live.close()
            return live
        return iter(())
    cells = {f"<{name}>": cell for name, cell in decoder.value(references["cells"]).items()}
    if "iterator" in references:
        made = decoder.functions.find(function, cells)
        return made(decoder.value(references["iterator"])) if made is not None else None
    variables = {k: v for k, v in decoder.value(references["locals"]).items() if v is not MISSING}
    target = live
    if target is MISSING or inspect.getgeneratorstate(target) != inspect.GEN_CREATED:
        _discard(target)
        target = _call(decoder.functions.find(function, cells), variables)
        if target is None:
            return None
    if state == inspect.GEN_SUSPENDED:
        loops, place, delegate = (decoder.value(references[name]) for name in ("loops", "place", "delegate"))
        _put_back(_Drive(target, list(loops), variables, place, delegate))
        _renew_iterators(target, references["locals"], [loop["iterator"] for loop in loops], decoder)
        decoder.driven = True
    return target


def _discard(generator: Any) -> None:
    """End one that is exchanged: what its ``finally`` does must come before all is restored, not when it is freed."""
    if isinstance(generator, types.GeneratorType):
        with contextlib.suppress(Exception):
            generator.close()


def _renew_iterators(generator: Any, reference: Any, of_loops: list[Any], decoder: Any) -> None:
    """Put iterators that the generator holds where they stood: the way to its ``yield`` may have taken an item."""
    fresh = {}
    for name, item in decoder.nodes[reference[0]][2]:
        if not isinstance(item, list) or decoder.nodes[item[0]][0] != "iterator":
            continue
        if not any(decoder.value(item) is iterator for iterator in of_loops):
            fresh[name] = decoder.anew(item)
    if fresh:
        frames.write(generator.gi_frame, fresh, set())


def _call(function: Any, variables: dict[str, Any]) -> Any:
    if not isinstance(function, types.FunctionType) or not function.__code__.co_flags & inspect.CO_GENERATOR:
        return None
    code = function.__code__
    names = code.co_varnames
    positional = names[: code.co_argcount]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    # the values may not be those of the call any more; all variables are set when the generator stands
    return function(*(variables.get(n) for n in positional), **{n: variables.get(n) for n in keywords})


def _put_back(drive: _Drive) -> None:
    generator = drive.generator
    before = Lanes.drive
    Lanes.drive = drive
    try:
        next(generator)
        while drive.loops or place_of(generator) != drive.place:
            _count_try(drive)
            next(generator)
    except StopIteration:
        raise _lost(drive) from None
    finally:
        Lanes.drive = before
    _set_variables(drive, generator.gi_frame)


def _count_try(drive: _Drive) -> None:
    drive.tries += 1
    if drive.tries > _MOST_TRIES:
        raise _lost(drive)


def _lost(drive: _Drive) -> DivergedError:
    what = f"loop {drive.loops[0]['site']}" if drive.loops else "yield"
    return DivergedError(
        f"the generator {drive.generator.__qualname__} did not come to its {what} again, where it stood",
        advice="hold the iterator that it goes over in a variable, or give what it does to a class with __next__",
    )


def _set_variables(drive: _Drive, frame: types.FrameType) -> None:
    known = frames.variable_names(frame.f_code)
    frames.write(frame, {k: v for k, v in drive.variables.items() if k in known}, set())


# --- for the hooks ----------------------------------------------------------------------------------


def drives(record: Any) -> bool:
    """Hand a loop that is entered its place, if it belongs to a generator that is being put back.

    A loop that the generator was not in at that time is handed an iterator without items.
    """
    drive = Lanes.drive
    if drive is None or record.frame is not drive.generator.gi_frame:
        return False
    _set_variables(drive, record.frame)
    if not drive.loops or record.site.key != drive.loops[0]["site"]:
        record.iterator = iter(())
        record.passed_over = True
        return True
    wanted = drive.loops.pop(0)
    record.done, record.iterator, record.item = wanted["done"], wanted["iterator"], wanted["item"]
    record.started = record.driven = True
    record.forced = 2 if record.site.kind == "while" else 0
    if not drive.loops and (record.site.hinted or record.site.trains):
        line = jump.line_of_yield(record.frame, drive.place)
        if line is not None:
            jump.to_line(record.frame, line, record.site.first_line + 1, record.site.last_line)
    return True


def tries_again(record: Any) -> bool:
    """Whether a driven loop's body has ended before it came to the place where it stood."""
    drive = Lanes.drive
    if drive is None or record.frame is not drive.generator.gi_frame:
        return False
    _count_try(drive)
    _set_variables(drive, record.frame)
    return True


def delegate(iterable: Any, frame: types.FrameType) -> Any:
    """What a ``yield from`` iterates over."""
    drive = Lanes.drive
    if drive is None or frame is not drive.generator.gi_frame:
        return iterable
    if drive.loops or drive.delegate is None or _place(frame) + 1 != drive.place:
        return ()
    return Delegate(drive.delegate)


class Delegate:
    """Stands in a ``yield from`` that was put back: gives one value for the drive, then what the iterator gives."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator
        self._drives = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._drives:
            self._drives = False
            return None
        return next(self.iterator)

    def __getattr__(self, attribute: str) -> Any:  # send, throw, close
        return getattr(self.iterator, attribute)


# --- places -----------------------------------------------------------------------------------------


def place_of(generator: Any) -> int:
    """The number of the ``yield`` that a generator is suspended at, in the order of its code; from 1."""
    place = _place(generator.gi_frame) if generator.gi_frame is not None else 0
    if sys.version_info < (3, 11) and generator.gi_yieldfrom is not None:
        place += 1  # there the instruction before it is noted
    return place


def _place(frame: types.FrameType) -> int:
    return bisect.bisect_right([each.offset for each in yields_of(frame.f_code)], frame.f_lasti)


def _count(code: types.CodeType, opname: str) -> int:
    return sum(each.opname == opname for each in flow_of(code).instructions)
