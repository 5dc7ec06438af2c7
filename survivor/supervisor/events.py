"""What happens in a session, as frozen dataclasses for a hook and as JSON lines for a file."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from survivor.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events; ``time`` is in seconds since 1970."""

    job: str
    session: int
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A child is about to run the program; ``checkpoint`` is "" when it starts from nothing."""

    pid: int
    checkpoint: str
    position: str
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class SnapshotTaken(Event):
    """A snapshot lies in memory, where the training process can no longer harm it; ``seconds`` is what that took."""

    step: int
    position: str
    size_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint is durable."""

    checkpoint: str
    step: int
    position: str
    size_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Noticed(Event):
    """A notice: the session ends, for ``reason``, in ``left_s`` seconds at the latest.

    One that does not end it has ``ends`` False, and -1 for the time left.
    """

    reason: str
    left_s: float
    ends: bool = True


@dataclass(frozen=True, kw_only=True)
class Restarting(Event):
    """The child ended by accident and is started again after ``delay_s`` seconds."""

    cause: str
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """The session is over; ``outcome`` is the kind of ``policy.Verdict``."""

    outcome: str
    exit_code: int


#: Takes each event as it happens; must return soon.
Hook = Callable[[Event], None]


def to_json(event: Event) -> str:
    """One line: the fields, and the class name in snake case as ``event``."""
    name = "".join("_" + c.lower() if c.isupper() else c for c in type(event).__name__).lstrip("_")
    return json.dumps({"event": name, **dataclasses.asdict(event)})


def to_all(*hooks: Hook) -> Hook:
    """A hook that hands each event to all of these."""

    def tell(event: Event) -> None:
        for hook in hooks:
            hook(event)

    return tell


def file_hook(path: Path) -> Hook:
    """A hook that appends to ``path``.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        file = path.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--events: can't write {str(path)!r}: {error.strerror}", advice="name another file"
        ) from error

    def write(event: Event) -> None:
        file.write(to_json(event) + "\n")

    return write
