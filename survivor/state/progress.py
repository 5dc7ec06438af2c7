"""Progress bars of tqdm: generators of a library's, which are looked through to the iterator below the bar."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any

#: Stands for a bar's ``__iter__`` in a document.
NAME = "progress"


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


def bar_of(value: Any) -> Any:
    """The tqdm bar behind a generator, if it is one's ``__iter__``."""
    if type(value) is not types.GeneratorType or value.gi_frame is None or value.gi_code.co_name != "__iter__":
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

    bar = bar_of(value)
    if bar is not None and inspect.getgeneratorstate(value) == inspect.GEN_CREATED:
        if not isinstance(bar.iterable, Tap):
            bar.iterable = SizedTap(bar.iterable) if hasattr(bar.iterable, "__len__") else Tap(bar.iterable)
        return
    if iterators.is_composed(value):
        for below in (iterators.parts(value) or {}).get("arguments", ()):
            tap(below)


def parts(value: Any) -> dict[str, Any] | None:
    """What is carried of a bar that is iterated over; ``None`` if the iterator below can't be seen."""
    bar = bar_of(value)
    below = bar.iterable
    return {"inner": below.iterator, "count": bar.n} if isinstance(below, Tap) else None


def rebuild(inner: Any, count: int, live: Any, missing: Any) -> Any:
    """The live bar over the restored iterator, or the iterator alone where there is none."""
    if live is missing:
        return inner if inner is not None else iter(())
    bar = bar_of(live)
    if bar is not None and inner is not None:
        if not isinstance(bar.iterable, Tap):
            tap(live)
        bar.iterable.iterator = inner
        bar.n = bar.last_print_n = bar.initial = count
    return live
