"""What an engine is given: what the user chose, its way to the store and to the user, a checkpoint that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import SurvivorError
from survivor.training.copying import Settled


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user chose.

    Attributes:
        every_s: seconds between checkpoints at most; 0 saves at every safe point.
        overhead: share of run time that saving may cost.
        allow_partial: go on although some objects can't be carried.
        ignore: names of variables and attributes that are left to re-execution.
        accept_changes: go on although the script was edited.
        keep_best: ``min:NAME`` or ``max:NAME``; a new best metric is worth a checkpoint at once.
    """

    every_s: float = 30.0
    overhead: float = 0.01
    allow_partial: bool = False
    ignore: tuple[str, ...] = ()
    accept_changes: bool = False
    keep_best: tuple[str, ...] = ()


class Link(Protocol):
    """The engine's way to the store and to the user; see `survivor.training.link`."""

    def save(self, snapshot: Snapshot, *, final: bool, needed: bool = False) -> None: ...  # noqa: D102
    def leave(self) -> Any: ...  # noqa: D102
    def refuse(self, error: SurvivorError) -> Any: ...  # noqa: D102
    def settled(self) -> Settled | None: ...  # noqa: D102
    def beat(self, now_s: float) -> None: ...  # noqa: D102
    def note(self, text: str) -> None: ...  # noqa: D102
    def warn(self, text: str) -> None: ...  # noqa: D102


class Stored(Protocol):
    """A checkpoint that was read back."""

    @property
    def document(self) -> Any: ...  # noqa: D102
    @property
    def metrics(self) -> dict[str, float]: ...  # noqa: D102
    def blobs(self) -> Any: ...  # noqa: D102
