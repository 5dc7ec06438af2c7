"""What is known of the loops that are running now: one record a loop, with what its current iteration has seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from survivor.checkpoint.snapshot import Blob
from survivor.state.remade import Seen
from survivor.state.steady import Steady
from survivor.training.consumed import Consumed
from survivor.training.sites import Site


@dataclass(frozen=True)
class Level:
    """The state at one loop's head (or end), frozen: part of a checkpoint.

    Attributes:
        document: the state tree, see `survivor.training.capture`.
        blobs: its bytes, by the names that the document uses.
        open_paths: places that still hung on a graph, see `survivor.training.graphs`.
        steady: blobs whose memory only optimizers change; none once the bytes are a copy.
    """

    document: dict[str, Any]
    blobs: dict[str, Blob]
    open_paths: list[str] = field(default_factory=list)
    steady: dict[str, Steady] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A training loop that has ended in its parent's current iteration.

    Attributes:
        site, entry: which.
        how: ``"end"``, ``"break"``, ``"return"`` or ``"raise"``.
        level: the state it left; ``None`` if it was not taken, or can't be.
        why: why it can't be; "" where that need not be told.
    """

    site: str
    entry: int
    how: str
    level: Level | None
    why: str = ""


@dataclass
class Context:
    """What happened in one iteration of a parent loop (or at the top of the script, or of a generator)."""

    entries: dict[str, int] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)

    def enter(self, site: str) -> int:
        """Count an entry into a loop; returns its number, from 0."""
        number = self.entries.get(site, -1) + 1
        self.entries[site] = number
        return number


@dataclass(eq=False)
class Record:
    """One running loop.

    Attributes:
        site: the loop statement.
        frame: the frame that it runs in.
        entry: its number among the entries of this site in the parent's iteration.
        parent: the context that it was entered in.
        iterator: where its items come from (``for`` only).
        consumed: what was taken from it, where it can't be taken apart, see `survivor.training.consumed`.
        done: bodies that have ended.
        item: the item of the body in progress (in generators only, where a body is interrupted).
        trained: a backward pass was seen inside this record.
        number: tells this running loop from all others of the process.
        level: the state at the head of the current iteration, when a loop inside may need it.
        entered_at, head_at: times (monotonic, seconds) of the entry and of the last head.
        head_at_byte: offset of that head in the frame's bytecode.
        how: how it ends, see `Ended`; "" while it runs.
        pending: it has yet to be noted how it ended: a ``finally`` of the script's runs first.
        value: what its ``return`` gives, until then.
        driven: it was put in the middle of a body, see `survivor.state.generators`.
        passed_over: it was come by on the way there, and does nothing.
        seen: what is left to the set-up, as it was at this loop's safe points.
        forced: while it is positive the test of a ``while`` is taken as true, see `Hooks.forced`.
    """

    site: Site
    frame: FrameType
    entry: int
    parent: Context
    iterator: Iterator[Any] | None = None
    consumed: Consumed | None = None
    done: int = 0
    item: Any = None
    trained: bool = False
    started: bool = False
    how: str = ""
    pending: bool = False
    value: Any = None
    driven: bool = False
    passed_over: bool = False
    forced: int = 0
    seen: Seen = field(default_factory=Seen)
    level: Level | None = None
    number: int = field(default_factory=itertools.count().__next__)
    entered_at: float = 0.0
    head_at: float = 0.0
    head_at_byte: int = -1
    context: Context = field(default_factory=Context)

    @property
    def address(self) -> dict[str, Any]:
        """Where this loop stands, for a checkpoint."""
        return {"site": self.site.key, "entry": self.entry, "done": self.done}

    def __str__(self) -> str:
        """The position for people: ``epoch 3``."""
        return f"{self.site.label} {self.done}"
