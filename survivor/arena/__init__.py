"""The arena: memory that supervisor, child and writer share, where a snapshot outlives the child that took it.

The supervisor makes a few *slots*, unnamed memory files that end with the last process that has them. The child
copies its state into a slot that is neither the newest nor being read; the writer reads the newest. So at any moment
one whole snapshot lies there, and a child that is killed in the middle of a copy has spoilt nothing.

Things that don't work:

- ``/dev/shm``: 64 MiB in many containers, and files of a killed run stay there.
- A flag in the shared memory that says "being read": it stays when the reader is killed, and two processes that look
  and set can pass each other. Solution: the reader holds a POSIX record lock on the slot, which the kernel drops when
  the process ends, and which a fork does not inherit. (Locks of an open file are shared with every process that
  inherits it.)
- Copying with ``pwrite``, so that no stray write can hit the slot: a third of the speed.
- One file that grows: what the other process has mapped would have to move with it.

A lock of this kind is lost when the process closes *any* descriptor of the file, and Python's ``mmap`` objects have one
of their own each, with the lowest free number at that, which the user's program would notice. So the maps are made by
the C library's call.
"""

import os

from survivor.arena.kernel import NoMemoryError
from survivor.arena.layout import Held, newest
from survivor.arena.publisher import BusyError, Copy, Publisher
from survivor.arena.reader import Loaded, Reader, load

__all__ = ["BusyError", "Copy", "Held", "Loaded", "NoMemoryError", "Publisher", "Reader", "create", "load", "newest"]

#: Two hold the newest snapshot and the one before or after it; the third is for the time of a slow store.
_SLOTS = 3


def create() -> tuple[int, ...]:
    """Make empty slots; returns their file descriptors, which are not inherited unless they are passed on."""
    return tuple(os.memfd_create(f"survivor-arena-{number}", os.MFD_CLOEXEC) for number in range(_SLOTS))
