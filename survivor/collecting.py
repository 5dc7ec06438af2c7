"""Python's garbage collector, out of the way while many objects are made that all live on.

It looks at *all* objects of a process whenever they have become a quarter more, and a process with torch has some
hundred thousand: while a state of ten thousand tensors was captured, two thirds of the time went into that.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """No automatic collection meanwhile; a decorator as well. Not for a user's code that may run for long."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
