"""What travels with each snapshot beside the state: the output so far, the files that were written."""

from __future__ import annotations

from collections.abc import Callable

from survivor.checkpoint.snapshot import Snapshot

_attach: list[Callable[[Snapshot], Snapshot]] = []


def add(attach: Callable[[Snapshot], Snapshot]) -> None:
    """Let ``attach`` add to each snapshot from now on."""
    _attach.append(attach)


def attached(snapshot: Snapshot) -> Snapshot:
    """The snapshot with all that travels with it."""
    for attach in _attach:
        snapshot = attach(snapshot)
    return snapshot
