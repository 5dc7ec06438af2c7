"""Notices: word that a session is going to end, from whoever knows it first.

The protocol below is the whole surface. A source that is not survivor's own is found by the entry point group
``survivor.notices``: a callable without arguments that returns a source, or None where it has nothing to watch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that a session has to act on.

    Attributes:
        reason: in words that stand alone: "the time limit of 11 h 30 min".
        left_s: seconds until the end, where that is known; None gives the session its grace period.
        ends: the session saves and ends; otherwise it saves what it has, warns once, and goes on.
    """

    reason: str
    left_s: float | None = None
    ends: bool = True


@dataclass(frozen=True, kw_only=True)
class View:
    """What a source is told of the session.

    Attributes:
        pid: the training process, 0 while there is none.
        margin_s: seconds that saving and ending take: to the next safe point, and to a durable checkpoint.
        state_bytes: size of the newest snapshot, 0 before the first.
        free_bytes: room in the store, as the writer last saw it; None where a store can't tell.
    """

    pid: int = 0
    margin_s: float = 0.0
    state_bytes: int = 0
    free_bytes: int | None = None


class Source(Protocol):
    """One thing that is watched. It is asked from a thread of its own, so it may wait for an answer."""

    @property
    def every_s(self) -> float:
        """Seconds between two looks."""

    def look(self, view: View) -> Notice | None:
        """A notice, if there is one now; the same one may be given again. May raise ``OSError`` to be asked later."""
