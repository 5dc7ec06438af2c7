"""The first thing in which two traces differ.

What is compared, in this order, since it separates a wrong restore from a kernel that isn't deterministic: the state
right after the restore with the live run's at that safe point; then, event by event, what was done, batches, losses,
parameters, state and random streams; then the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from survivor.proof.trace import Event, Mark, State, Trace, states

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Leaf:
    """A place in the state that differs.

    Attributes:
        path: as the user writes it.
        expected_key, found_key: the leaf in either trace; "" where there is none.
    """

    path: str
    expected_key: str
    found_key: str


@dataclass
class Divergence:
    """Where two runs part.

    Attributes:
        stage: ``"restore"``, ``"order"``, ``"batch"``, ``"loss"``, ``"step"``, ``"state"``, ``"random"``, ``"end"``,
            ``"output"``, ``"files"``, ``"crash"``, ``"refused"`` or ``"lost"``.
        index: number of the event (for a restore, the events before it).
        step: optimizer steps so far.
        kind: of the event.
        expected, found: what was seen of the event, for people.
        leaves: places in the state that differ.
        suspects: places that may differ without harm, and do.
        streams: random streams that stand elsewhere.
        since: the last event that was equal; for a restore, the same.
        walked: the last event at which both states were looked at, and equal.
        detail: further lines for people.
    """

    stage: str
    index: int = 0
    step: int = 0
    kind: str = ""
    expected: str = ""
    found: str = ""
    leaves: list[Leaf] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    since: int = 0
    walked: int = 0
    detail: list[str] = field(default_factory=list)

    @property
    def at_step(self) -> int:
        """The optimizer step that it happened in, from 1."""
        return self.step + (self.kind in ("D", "B", "G") and self.stage not in ("output", "files"))


STAGES = {"D": "batch", "B": "loss", "G": "loss", "S": "step"}


def general(key: str) -> str:
    """A leaf's key without its indices: what is learned of one item of a list holds for the next."""
    return _INDEX.sub("[]", key)


def shown(root: str, below: str) -> str:
    """A path as the user writes it."""
    return root.partition("|")[2] + below


def differing(expected: State, found: State, masked: frozenset[str] = frozenset()) -> tuple[list[Leaf], list[str]]:
    """The hard leaves in which two states differ, and the paths of the soft ones."""
    same_shape = expected.live == found.live and expected.aliases == found.aliases
    if same_shape and expected.leaves == found.leaves:
        return [], []
    leaves: list[Leaf] = []
    soft: list[str] = []
    done: set[tuple[str, str]] = set()
    bulk = expected.has_bulk and found.has_bulk
    roots = [*expected.live, *(r for r in expected.leaves if r.startswith("process|"))]
    found_live = {*found.live, *(r for r in found.leaves if r.startswith("process|"))}
    for root in roots:
        pair = (expected.aliases.get(root, root), found.aliases.get(root, root))
        if pair in done:
            continue
        done.add(pair)
        ours = expected.below(root)
        theirs = found.below(root) if root in found_live else {}
        for below in dict.fromkeys([*ours, *theirs]):
            a, b = ours.get(below, ""), theirs.get(below, "")
            if expected.leaves.get(a) == found.leaves.get(b) or general(a or b) in masked:
                continue
            if not bulk and (a in expected.bulk or b in found.bulk):
                continue
            if a in expected.soft or b in found.soft:
                soft.append(shown(root, below))
            else:
                leaves.append(Leaf(shown(root, below), a, b))
    return leaves, soft


def by_event(trace: Trace) -> Iterator[tuple[Event, State | None]]:
    """The events of a trace, with the state that was walked at each."""
    for item, state in states(trace):
        if isinstance(item, Event):
            yield item, state


def by_itself(first: Trace, second: Trace) -> tuple[Divergence | None, frozenset[str]]:
    """Where two plain runs differ, if the script is not deterministic; else the leaves that differ without harm.

    A time that was measured is no state of the training, nor is a random stream that nothing was seeded for and
    nobody draws from: what differs while every batch, loss and parameter is equal to the end can't be compared with
    a plain run's. It is told, and still compared across each restore.
    """
    reference = Reference(first)
    mine = by_event(first)
    harmless: dict[str, Leaf] = {}
    begun: list[Leaf] = []
    streams: set[str] = set()
    walked = 0
    for b, theirs in by_event(second):
        a, state = next(mine, (None, None))
        if a is None:
            break
        different = reference._event(a, b, state, theirs)
        if different is None:
            walked = a.index if state is not None and theirs is not None and not begun else walked
            continue
        if different.stage in ("state", "random"):
            begun = begun or different.leaves
            streams.update(different.streams)
            for leaf in different.leaves:
                harmless[general(leaf.expected_key or leaf.found_key)] = leaf
            continue
        different.since, different.walked = a.index - 1, walked
        unused = unused_streams(first) - {"torch"}  # whose set-up draws from it, as a rule
        different.streams = [name for name in different.streams if name not in unused]
        # what differed before, without an effect yet, is nearer to the cause
        different.leaves = [*begun, *(leaf for leaf in different.leaves if leaf not in begun)]
        return different, frozenset()
    if len(first.events) != len(second.events):
        shorter = min(first.events, second.events, key=len)
        last = shorter[-1] if shorter else None
        return Divergence("order", len(shorter), last.steps if last else 0, since=len(shorter)), frozenset()
    return None, frozenset(harmless) | {stream_key(name) for name in streams}


def unused_streams(trace: Trace) -> set[str]:
    """The random streams that nobody drew from after the first event."""
    end = trace.end
    before = trace.events[0].streams
    return {name for name in before if end is not None and end.streams.get(name) == before[name]}


def stream_key(name: str) -> str:
    """What a random stream is called among the masked keys."""
    return f"random|{name} stream"


class Reference:
    """The plain run.

    Args:
        trace: what it did.
        masked: general keys of leaves that differ between two plain runs as well.
        walks: whether the script's state is compared after each event.
    """

    def __init__(self, trace: Trace, masked: frozenset[str] = frozenset(), *, walks: bool = True) -> None:
        self.trace = trace
        self.walks = walks
        self.masked = masked
        self.events = trace.events
        self.compared = 0
        self.compared_leaves = 0

    def states_from(self, index: int) -> Iterator[tuple[Event, State | None]]:
        """Its events after the first ``index``."""
        for event, state in by_event(self.trace):
            if event.index > index:
                yield event, state

    def compare(self, trace: Trace, begin: int) -> Divergence | None:
        """Compare a session that goes on after ``begin`` events, as far as it went."""
        mine = self.states_from(begin)
        last = walked = begin
        for event, state in by_event(trace):
            if event.index <= begin:
                continue
            wanted, wanted_state = next(mine, (None, None))
            if wanted is None:
                return Divergence(
                    "order", event.index, event.steps, event.kind, expected="the end", found=_noun(event), since=last
                )
            different = self._event(wanted, event, wanted_state, state)
            if different is not None:
                different.since, different.walked = last, walked
                return different
            last = event.index
            walked = last if state is not None and wanted_state is not None else walked
            self.compared += 1
            self.compared_leaves += len(state.leaves) if state is not None else 0
        return self._end(trace, last)

    def _event(self, a: Event, b: Event, mine: State | None, theirs: State | None) -> Divergence | None:
        streams = self._streams(a, b)
        leaves: list[Leaf] = []
        soft: list[str] = []
        if self.walks and mine is not None and theirs is not None:
            leaves, soft = differing(mine, theirs, self.masked)
        if a.kind != b.kind:
            stage = "order"
        elif a.digest != b.digest:
            stage = STAGES[a.kind]
        elif leaves:
            stage = "state"
        elif streams:
            stage = "random"
        else:
            return None
        return Divergence(
            stage,
            a.index,
            a.steps,
            a.kind,
            expected=_seen(a) if a.kind == b.kind else _noun(a),
            found=_seen(b) if a.kind == b.kind else _noun(b),
            leaves=leaves,
            suspects=soft,
            streams=streams,
        )

    def _streams(self, a: Event | Mark, b: Event | Mark) -> list[str]:
        return [n for n in a.streams if a.streams[n] != b.streams.get(n) and stream_key(n) not in self.masked]

    def _end(self, trace: Trace, last: int) -> Divergence | None:
        end, mine = trace.end, self.trace.end
        if end is None or mine is None:
            return None
        if last < len(self.events):
            event = self.events[last]
            return Divergence(
                "order", event.index, event.steps, event.kind, expected=_noun(event), found="the end", since=last
            )
        streams = self._streams(mine, end)
        if streams:
            return Divergence("end", last, end.steps, streams=streams, since=last)
        return None


def restored(saved: tuple[Mark, State], mark: Mark, state: State) -> Divergence | None:
    """The state right after a restore against the live run's at that safe point."""
    live, before = saved
    leaves, soft = differing(before, state)
    # a flag of the process may be set by the script before it counts: it is compared at the events
    flags = [leaf for leaf in leaves if leaf.expected_key.startswith("process|")]
    leaves = [leaf for leaf in leaves if leaf not in flags]
    soft += [leaf.path for leaf in flags]
    streams = [name for name in live.streams if live.streams[name] != mark.streams.get(name)]
    if not leaves and not streams:
        return None
    return Divergence(
        "restore", mark.index, mark.steps, leaves=leaves, suspects=soft, streams=streams, since=mark.index
    )


def checkpoints(trace: Trace) -> dict[int, tuple[Mark, State]]:
    """The states at the checkpoints of a session, by the engine's step."""
    return {
        item.step: (item, state.copy())
        for item, state in states(trace)
        if isinstance(item, Mark) and item.kind == "C" and state is not None
    }


def restores(trace: Trace) -> Iterator[tuple[Mark, State]]:
    """The restore that a session began with, if any."""
    for item, state in states(trace):
        if isinstance(item, Mark) and item.kind == "R" and state is not None:
            yield item, state


def _seen(event: Event) -> str:
    return event.shown if isinstance(event.shown, str) and event.kind in "BG" else ""


def _noun(event: Event) -> str:
    return {
        "D": "a batch from a data loader",
        "B": "a backward pass",
        "G": "a call of torch.autograd.grad",
        "S": "a step of an optimizer",
    }[event.kind]
