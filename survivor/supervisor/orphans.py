"""What a killed supervisor has left on this machine: a writer that still saves, and the child that it waits for.

A session that took the job at once would fence them off, and what they were about to save would be lost. So a
writer shows itself by an abstract socket, a name that the kernel takes back with the process, and the next
session waits until it is gone.
"""

from __future__ import annotations

import hashlib
import os
import socket


def show(store: str, job: str) -> socket.socket | None:
    """Be seen as long as the result is kept; None if there is another one already."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        mark.bind(_name(store, job))
    except OSError:
        mark.close()
        return None
    return mark


def are_there(store: str, job: str) -> bool:
    """Whether a writer of this job is at work here."""
    mark = show(store, job)
    if mark is not None:
        mark.close()
    return mark is None


def _name(store: str, job: str) -> str:
    key = hashlib.sha256(f"{os.getuid()} {store} {job}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"\0survivor-writer-{key}"
