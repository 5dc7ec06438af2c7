"""Reading what a traced process has noted; see `survivor.proof.tracing.record` for the lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What an event is about, for people.
NOUNS = {
    "D": "the batch",
    "B": "the loss",
    "G": "what torch.autograd.grad was asked for",
    "S": "the parameters and the optimizer's state",
}


@dataclass(frozen=True)
class Event:
    """Something that the script did.

    Attributes:
        kind: ``D``, ``B``, ``G`` or ``S``.
        index: its number among all events of the script, from 1.
        steps: optimizer steps so far, this one included.
        digest: of what it is about.
        streams: a digest of each random stream after it.
        walk: how the state differs from the last walk's, or ``None``.
        shown: a value for people, or what was kept of it.
    """

    kind: str
    index: int
    steps: int
    digest: str
    streams: dict[str, str]
    walk: dict[str, Any] | None = None
    shown: Any = None


@dataclass(frozen=True)
class Mark:
    """A checkpoint (``C``), a restore (``R``) or the end (``Z``), after ``index`` events."""

    kind: str
    index: int
    steps: int
    streams: dict[str, str]
    walk: dict[str, Any] | None = None
    step: int = 0
    position: str = ""
    out: int = 0
    final: bool = False
    cut: bool = False
    walk_s: float = 0.0


@dataclass
class Trace:
    """The lines of one process, in order."""

    items: list[Event | Mark] = field(default_factory=list)
    draws: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # steps of checkpoints whose place isn't known
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # of checkpoints: events and steps before it
    evals: list[int] = field(default_factory=list)  # events before each call of model.eval(), if they were asked for

    @classmethod
    def read(cls, path: Path) -> Trace:
        """Of a file; none for a process that never came to torch."""
        return (cls.read_all(path) or [cls()])[-1]

    @classmethod
    def read_all(cls, path: Path) -> list[Trace]:
        """One for each process that wrote the file: after an accident another goes on."""
        traces: list[Trace] = []
        for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
            note = json.loads(line)
            if note["k"] == "P":
                traces.append(cls())
            else:
                traces[-1]._add(note)
        return traces

    def _add(self, line: dict[str, Any]) -> None:
        kind = line["k"]
        if kind == "L":
            self.draws.append((line["file"], line["line"], tuple(line["streams"])))
        elif kind == "E":
            self.evals.append(line["i"])
        elif kind == "?":
            self.lost.append(line["step"])
        elif kind == "A":
            self.places[str(line["step"])] = (line["i"], line["n"])
        elif kind in NOUNS:
            self.items.append(
                Event(kind, line["i"], line["n"], line["d"], line["r"], line.get("w"), line.get("v"))
            )
        else:
            self.items.append(
                Mark(
                    kind,
                    line["i"],
                    line["n"],
                    line["r"],
                    line.get("w"),
                    step=line.get("step", 0),
                    position=line.get("position", ""),
                    out=line.get("out", 0),
                    final=line.get("final", False),
                    cut=line.get("cut", False),
                    walk_s=line.get("walk_s", 0.0),
                )
            )

    @property
    def events(self) -> list[Event]:
        """What the script did."""
        return [item for item in self.items if isinstance(item, Event)]

    @property
    def marks(self) -> list[Mark]:
        """Checkpoints, restores, the end."""
        return [item for item in self.items if isinstance(item, Mark)]

    @property
    def restored(self) -> Mark | None:
        """The restore that the process began with, if it did."""
        return next((mark for mark in self.marks if mark.kind == "R"), None)

    @property
    def begin(self) -> int:
        """Events before its own first one."""
        return self.restored.index if self.restored is not None else 0

    @property
    def end(self) -> Mark | None:
        """The end, if the process came to it."""
        return next((mark for mark in reversed(self.marks) if mark.kind == "Z"), None)


@dataclass
class State:
    """The leaves of a trace's newest walk, brought up to date walk by walk."""

    names: list[str] = field(default_factory=list)
    soft: set[str] = field(default_factory=set)
    bulk: set[str] = field(default_factory=set)
    leaves: dict[str, str] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    has_bulk: bool = True
    values: dict[str, Any] = field(default_factory=dict)

    def apply(self, walk: dict[str, Any]) -> None:
        """Take in the next walk."""
        for name, soft, bulk in walk["new"]:
            self.names.append(name)
            self.soft |= {name} if soft else set()
            self.bulk |= {name} if bulk else set()
        if walk["whole"]:
            self.leaves = {}
        for number, digest in walk["c"]:
            self.leaves[self.names[number]] = digest
        for number in walk["x"]:
            self.leaves.pop(self.names[number], None)
        self.live, self.aliases, self.has_bulk = walk["live"], walk["a"], walk["b"]
        self.values = walk.get("values", {})

    def copy(self) -> State:
        """One that stays as it is."""
        return State(
            list(self.names),
            set(self.soft),
            set(self.bulk),
            dict(self.leaves),
            list(self.live),
            dict(self.aliases),
            self.has_bulk,
            dict(self.values),
        )

    def below(self, root: str) -> dict[str, str]:
        """The leaves of a root by their paths below it, whichever root the walk took them from."""
        holder = self.aliases.get(root, root)
        size = len(holder)
        return {
            key[size:]: key for key in self.leaves if key.startswith(holder) and (len(key) == size or key[size] in ".[")
        }


def states(trace: Trace) -> Iterator[tuple[Event | Mark, State | None]]:
    """The items of a trace, each with the state that was walked there; it is changed by the next step."""
    state = State()
    for item in trace.items:
        if item.walk is None:
            yield item, None
        else:
            state.apply(item.walk)
            yield item, state
