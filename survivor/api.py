"""The explicit door: what the rewriting of a script does by itself, said by hand.

Under plain ``python`` these functions cost nothing and do nothing, so they may stay in a script.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def _hooks() -> Any:
    return getattr(builtins, "__survivor__", None)


def loop(iterable: Iterable[T]) -> Iterable[T]:
    """Watch a ``for`` loop that survivor does not rewrite by itself, such as one in an installed package.

    Args:
        iterable: what the loop runs over.

    Returns:
        The iterable; under survivor an equivalent one that tells the loop's position.
    """
    hooks = _hooks()
    return iterable if hooks is None else hooks.explicit(iterable, sys._getframe(1))


def track(**objects: Any) -> None:
    """Carry objects that can't be reached from the script's variables.

    Args:
        objects: by name; tensors, modules, optimizers, containers, instances, or anything that has
            ``state_dict`` and ``load_state_dict``. They are restored in place.
    """
    hooks = _hooks()
    if hooks is not None:
        hooks.track(objects)


def ignore(*objects: Any) -> None:
    """Leave objects to re-execution: survivor neither carries them nor asks about them."""
    hooks = _hooks()
    if hooks is not None:
        hooks.ignore(objects)


def report(**metrics: float) -> None:
    """Record metrics; the next checkpoint carries them, and ``--keep-best`` and ``inspect`` use them."""
    hooks = _hooks()
    if hooks is not None:
        hooks.report({name: float(value) for name, value in metrics.items()})
