"""Generators of the user's own: suspended in the middle of a loop's body, and put back there.

A generator can't be copied. But its source is instrumented like the rest, so its loops tell their
positions. To put one back, an unstarted generator is *driven*: run until its first loop, which is handed
the restored iterator and the item of the body that was in progress, down to the innermost, and on to
the ``yield`` where it stood. Its variables are then set to what they were. What the driven stretch did
to other objects is undone by restoring those afterwards.

Progress bars (``for x in tqdm(loader)``) are generators of a library's; they are looked through.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from survivor.errors import DivergedError
from survivor.state.scope import Scope

Generator = types.GeneratorType


@dataclass
class _Drive:
    """A generator that is being put back: the loops that it has yet to reach."""

    generator: Any
    loops: list[dict[str, Any]]
    variables: dict[str, Any]


class Lanes:
    """The loops of suspended generators, as the engine's hooks know them; set once per process."""

    running: ClassVar[dict[types.FrameType, list[Any]]] = {}
    drive: ClassVar[_Drive | None] = None


def name(value: Any, scope: Scope) -> str:
    """The name of a generator's function in a document."""
    if progress_bar(value) is not None:
        return "progress"
    return scope.code_name(value.gi_code) or f":{value.__qualname__}"


def parts(value: Any, scope: Scope) -> dict[str, Any] | None:
    """What is carried of a generator; ``None`` if that is not enough to put it back."""
    bar = progress_bar(value)
    if bar is not None:
        tap = bar.iterable
        return {"inner": tap.iterator, "count": bar.n} if isinstance(tap, Tap) else None
    if value.gi_code.co_filename not in scope.files:
        return None
    state = inspect.getgeneratorstate(value)
    if state in (inspect.GEN_CLOSED, inspect.GEN_RUNNING):
        return {"state": state}
    if value.gi_yieldfrom is not None:
        return None  # where the other generator stands is not to be seen from here
    from survivor.training import frames

    held: dict[str, Any] = {"state": state, "locals": frames.read(value.gi_frame)}
    if state == inspect.GEN_SUSPENDED:
        records = Lanes.running.get(value.gi_frame)
        if not records:
            return None
        held["loops"] = [{"site": r.site.key, "done": r.done, "iterator": r.iterator, "item": r.item} for r in records]
        held["yields"] = records[-1].yields
    return held


def rebuild(function: str, references: dict[str, Any], live: Any, decoder: Any) -> Any:
    """The generator that a document describes: ``live`` put back, or a new one; ``None`` if there is no way."""
    from survivor.state.pairing import MISSING

    if function == "progress":
        return _rebuild_progress(decoder.value(references["inner"]), decoder.value(references["count"]), live, MISSING)
    state = decoder.value(references["state"])
    if state == inspect.GEN_RUNNING:
        return live if live is not MISSING else None
    if state == inspect.GEN_CLOSED:
        if live is not MISSING:
            live.close()
            return live
        return _closed()
    variables = decoder.value(references["locals"])
    variables = {k: v for k, v in variables.items() if v is not MISSING}
    target = live
    if target is MISSING or inspect.getgeneratorstate(target) != inspect.GEN_CREATED:
        target = _call(function, variables, decoder)
        if target is None:
            return None
    if state == inspect.GEN_SUSPENDED:
        _put_back(target, decoder.value(references["loops"]), variables, decoder.value(references["yields"]))
        decoder.driven = True
    return target


def _closed() -> Iterator[Any]:
    return iter(())


def _call(function: str, variables: dict[str, Any], decoder: Any) -> Any:
    found = decoder.functions.find(function, {})
    if not isinstance(found, types.FunctionType) or not found.__code__.co_flags & inspect.CO_GENERATOR:
        return None
    code = found.__code__
    names = code.co_varnames
    positional = names[: code.co_argcount]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    # the values may not be those of the call any more; all variables are set when the generator stands
    return found(*(variables.get(n) for n in positional), **{n: variables.get(n) for n in keywords})


def _put_back(generator: Any, loops: list[dict[str, Any]], variables: dict[str, Any], yields: int) -> None:
    from survivor.training import frames

    before = Lanes.drive
    Lanes.drive = drive = _Drive(generator, list(loops), variables)
    try:
        next(generator)
        while drive.loops:  # a yield before its loop
            next(generator)
        for _ in range(yields):
            next(generator)
    except StopIteration:
        raise DivergedError(f"the generator {generator.__qualname__} ended before the place where it stood") from None
    finally:
        Lanes.drive = before
    if drive.loops:
        raise DivergedError(f"the generator {generator.__qualname__} did not come to its loop again")
    frames.write(generator.gi_frame, {k: v for k, v in variables.items() if k.isidentifier()}, set())


def drives(record: Any) -> bool:
    """Hand a loop that is entered its place, if it belongs to a generator that is being put back."""
    drive = Lanes.drive
    if drive is None or not drive.loops or record.frame is not drive.generator.gi_frame:
        return False
    wanted = drive.loops[0]
    if record.site.key != wanted["site"]:
        return False
    from survivor.training import frames

    del drive.loops[0]
    known = frames.variable_names(record.frame.f_code)
    frames.write(record.frame, {k: v for k, v in drive.variables.items() if k in known}, set())
    record.done, record.iterator, record.item = wanted["done"], wanted["iterator"], wanted["item"]
    record.started = record.driven = True
    record.forced = 2 if record.site.kind == "while" else 0
    return True


# --- progress bars ----------------------------------------------------------------------------------


class Tap:
    """Stands between a progress bar and its iterable, so that the iterator below the bar can be seen."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self.iterable = iterable
        self.iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self.iterator is None:
            self.iterator = iter(self.iterable)
        return self.iterator

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.iterable, attribute)


class SizedTap(Tap):
    """A tap on an iterable that has a length."""

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]


def progress_bar(value: Any) -> Any:
    """The tqdm bar behind a generator, if it is one's ``__iter__``."""
    if type(value) is not Generator or value.gi_frame is None or value.gi_code.co_name != "__iter__":
        return None
    bar = value.gi_frame.f_locals.get("self")
    return bar if is_tqdm(bar) else None


def is_tqdm(value: Any) -> bool:
    """Whether this is a tqdm bar, of whichever of its classes."""
    if not any(base.__module__.partition(".")[0] == "tqdm" for base in type(value).__mro__):
        return False
    return hasattr(value, "iterable") and isinstance(getattr(value, "n", None), (int, float))


def tap(value: Any) -> None:
    """Put a tap into a progress bar that has not begun, wherever it stands in a chain of iterators."""
    from survivor.state import iterators

    bar = progress_bar(value)
    if bar is not None and inspect.getgeneratorstate(value) == inspect.GEN_CREATED:
        if not isinstance(bar.iterable, Tap):
            bar.iterable = SizedTap(bar.iterable) if hasattr(bar.iterable, "__len__") else Tap(bar.iterable)
        return
    if iterators.is_composed(value):
        for below in (iterators.parts(value) or {}).get("arguments", ()):
            tap(below)


def _rebuild_progress(inner: Any, count: int, live: Any, missing: Any) -> Any:
    if live is missing:
        return inner if inner is not None else _closed()
    bar = progress_bar(live)
    if bar is not None and inner is not None:
        if not isinstance(bar.iterable, Tap):
            tap(live)
        bar.iterable.iterator = inner
        bar.n = bar.last_print_n = bar.initial = count
    return live
