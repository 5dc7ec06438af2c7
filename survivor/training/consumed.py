"""Iterators of a library's that can't be taken apart: made again, and consumed again up to where they stood.

scikit-learn's ``KFold.split`` is a generator, and so are many bars and loaders of libraries. Where such a
generator stands can't be read or set. But the loop that it was made for counts what it has taken, and a resumed
run makes it anew from the same state. So it is consumed again, for real, up to that place. What it drew from
the random number generators on the way comes out the same: their states before each such draw are kept.

Only a generator that had not begun when the loop was entered is treated so, and only as long as few of its items
draw; otherwise the job is told that it can't be carried.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from survivor.errors import DivergedError
from survivor.state import iterators, progress, rng
from survivor.state.scope import Scope

_MOST_DRAWS = 64
_END: Any = object()


class Consumed:
    """What a loop has taken from an iterator of a library's.

    Attributes:
        count: how many items.
        states: states of the random number generators before those items that drew from them, by number.
        exact: whether all of them were kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self.states: dict[int, Any] = {}
        self.exact = True

    def next(self, iterator: Iterator[Any], default: Any) -> Any:
        """``next(iterator, default)``, noted."""
        before = rng.read_all()
        item = next(iterator, default)
        if not _same(before, rng.read_all()):
            if len(self.states) < _MOST_DRAWS:
                self.states[self.count] = before
            else:
                self.exact = False
        self.count += 1
        return item

    def parts(self) -> dict[str, Any]:
        """What is carried."""
        return {"count": self.count, "states": [[number, state] for number, state in self.states.items()]}

    def again(self, iterator: Iterator[Any], held: dict[str, Any]) -> None:
        """Take from a new iterator what was taken from the one before.

        Raises:
            DivergedError: it ends before that.
        """
        self.states = {number: state for number, state in held["states"]}
        self.count = held["count"]
        for number in range(self.count):
            if number in self.states:
                rng.write_all(self.states[number])
            if next(iterator, _END) is _END:
                raise DivergedError(f"an iterator gave {number} items and not {self.count} as before")


def of(iterator: Any, scope: Scope) -> Consumed | None:
    """The books for a loop's iterator, if it is, or is made of, a fresh generator of a library's."""
    return Consumed() if any(_foreign(each, scope) for each in below(iterator)) else None


def below(iterator: Any) -> Iterator[Any]:
    """An iterator, and those that it is made of."""
    yield iterator
    bar = progress.bar_of(iterator)
    if bar is not None:
        iterable = bar.iterable
        yield from below(iterable.iterable if isinstance(iterable, progress.Tap) else iterable)
    elif iterators.is_composed(iterator):
        for part in (iterators.parts(iterator) or {}).get("arguments", ()):
            yield from below(part)


def _foreign(value: Any, scope: Scope) -> bool:
    return (
        type(value) is types.GeneratorType
        and progress.bar_of(value) is None
        and scope.code_name(value.gi_code) is None
        and inspect.getgeneratorstate(value) == inspect.GEN_CREATED
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return all(_same(item, b[key]) for key, item in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)
