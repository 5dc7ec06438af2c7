"""What travels with each snapshot beside the state: the output so far, the files that were written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from survivor.checkpoint.snapshot import Snapshot

_MARK = "attached"
_attach: list[Callable[[Snapshot], Snapshot]] = []


def add(attach: Callable[[Snapshot], Snapshot]) -> None:
    """Let ``attach`` add to each snapshot from now on."""
    _attach.append(attach)


def attached(snapshot: Snapshot) -> Snapshot:
    """The snapshot with all that travels with it, as of now; one that has it already stays as it is."""
    if isinstance(snapshot.document, dict) and snapshot.document.get(_MARK):
        return snapshot
    for attach in _attach:
        snapshot = attach(snapshot)
    return replace(snapshot, document=snapshot.document | {_MARK: True})
