"""Where interrupted runs are killed: chosen from what the plain run did."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from signal import Signals

from survivor.errors import UsageError
from survivor.proof.runs import Kill
from survivor.proof.trace import Event

#: Events behind the last safe point at which a kill makes sense.
_TAIL = 2


def by_step(events: Sequence[Event], steps: Sequence[int], signals: Sequence[Signals]) -> list[Kill]:
    """Kills after the optimizer steps that the user named.

    Raises:
        UsageError: a step that the script doesn't come to.
    """
    ends = {event.steps: event.index for event in events if event.kind == "S"}
    missing = [step for step in steps if step not in ends]
    if missing:
        raise UsageError(
            f"--at {missing[0]}: the script makes {max(ends, default=0)} optimizer steps",
            advice="name a step from 1 to that number",
        )
    return [Kill(ends[step], signals[i % len(signals)], f"step {step}") for i, step in enumerate(sorted(set(steps)))]


def choose(events: Sequence[Event], count: int, signals: Sequence[Signals], seed: int) -> list[Kill]:
    """As many kills as asked for: first the places where resuming is hard, then random ones."""
    places = _special(events)
    rng = random.Random(seed)
    beats = [event.index for event in events if event.kind in "SBG"] or [event.index for event in events]
    beats = beats[:-1] or beats
    for _ in range(50 * count):
        if len(places) >= count:
            break
        place = rng.choice(beats)
        places.setdefault(place, "at random")
    chosen = sorted(list(places.items())[:count])
    return [Kill(place, signals[i % len(signals)], why) for i, (place, why) in enumerate(chosen)]


def _special(events: Sequence[Event]) -> dict[int, str]:
    """Event and reason of the places where resuming is hard, the most telling first."""
    steps = [event for event in events if event.kind == "S"] or [event for event in events if event.kind in "BG"]
    if not steps:
        return {}
    found: dict[int, str] = {}
    middle = steps[len(steps) // 2]
    found[middle.index] = "in the middle"
    window = _in_window(events)
    if window:
        found.setdefault(window, "inside an accumulation window")
    first, last = _epoch(events)
    for place, why in ((last, "at an epoch's end"), (first, "at an epoch's start")):
        if place:
            found.setdefault(place, why)
    found.setdefault(steps[0].index, "after the first step")
    last = events[-1].index - _TAIL
    return {place: why for place, why in found.items() if place <= last} or {middle.index: "in the middle"}


def _in_window(events: Sequence[Event]) -> int:
    """A backward pass that is followed by another before the optimizer steps, late enough to be learnt."""
    found = 0
    beats = [event for event in events if event.kind in "BS"]
    for a, b in itertools.pairwise(beats):
        if a.kind == b.kind == "B" and any(event.kind == "S" for event in beats):
            found = a.index
            if a.index > len(events) // 3:
                break
    return found


def _epoch(events: Sequence[Event]) -> tuple[int, int]:
    """The first step of a later epoch and the last step before it, by the loader that begins anew."""
    starts = [event.index for event in events if event.kind == "D" and event.shown == "first"]
    steps = [event.index for event in events if event.kind == "S"]
    for start in starts[len(starts) // 2 :]:
        before = [index for index in steps if index < start]
        after = [index for index in steps if index > start]
        if before and after:
            return after[0], before[-1]
    return 0, 0


def in_runs(kills: Sequence[Kill]) -> list[tuple[Kill, ...]]:
    """Two kills a run, far apart, so that so many kills take half as many runs."""
    half = (len(kills) + 1) // 2
    ordered = sorted(kills, key=lambda kill: kill.event)
    return [tuple(ordered[i::half]) for i in range(half)] if ordered else []
