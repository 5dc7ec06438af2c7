"""Removing checkpoints: manifests first, packs after, so that a kill in between leaves no gap.

What the removal must not trust: that a manifest which looks good is good (its bytes may have rotted), and
that a listing is complete (a mounted Drive can hide files for a while). Hence the newest survivor among the
kept must have been read byte by byte or written by this very process, and packs that no manifest names are
left alone for a day.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from survivor.checkpoint import pack
from survivor.checkpoint.manifest import Head
from survivor.checkpoint.names import CHECKPOINTS, JOB, LEASES, PACKS, SESSIONS, Stamp, leaf, parse_stamp
from survivor.checkpoint.reading import CheckpointInfo, manifest_file
from survivor.checkpoint.retention import Retention, kept
from survivor.store.base import Entry, Store

ORPHAN_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class Pruned:
    """What was removed: names of checkpoints, packs, and bytes freed."""

    checkpoints: list[str] = field(default_factory=list)
    packs: set[Stamp] = field(default_factory=set)
    freed_bytes: int = 0


class Plan:
    """Decides what to remove; asks for a full check of a checkpoint when too little is known to decide."""

    def __init__(self, survey: list[tuple[CheckpointInfo, Head | None]], trusted: set[Stamp]) -> None:
        """Begin with a look at all checkpoints, oldest first, and the names of those surely good."""
        self._survey = survey
        self._trusted = {str(stamp) for stamp in trusted}
        self.removed: list[tuple[str, Head | None]] = []
        self.needed: set[Stamp] = set()

    def choose(self, policy: Retention) -> CheckpointInfo | None:
        """Settle what is removed, or return a checkpoint that has to be checked first."""
        good = [info for info, _ in self._survey if info.good is not False]
        names = kept(good, policy) if good else set()
        anchors = [info for info in good if info.name in names and (info.good or info.name in self._trusted)]
        if good and not anchors:
            return [info for info in good if info.name in names][-1]
        order = {info.name: place for place, (info, _) in enumerate(self._survey)}
        newest = order[anchors[-1].name] if anchors else -1
        self.removed = []
        self.needed = set()
        for info, head in self._survey:
            # a damaged one goes once a newer one is known to be good; until then it is evidence
            goes = info.name not in names and (info.good is not False or order[info.name] < newest)
            if goes and anchors:
                self.removed.append((info.name, head))
            elif head is not None:
                self.needed.update(ref.stamp for ref in head.packs)
        return None

    def judge(self, info: CheckpointInfo) -> None:
        """Take note of the result of a full check."""
        self._survey = [(info, head) if old.name == info.name else (old, head) for old, head in self._survey]


def carry_out(store: Store, folder: str, plan: Plan, *, token: int, unused: set[Stamp]) -> Pruned:
    """Remove what the plan says, then packs that nothing needs any more."""
    done = Pruned()
    freed = 0
    dead: set[Stamp] = set(unused)
    for name, head in plan.removed:
        store.delete(manifest_file(folder, name))
        done.checkpoints.append(name)
        dead.update(ref.stamp for ref in (head.packs if head else ()))
    entries = store.files(f"{folder}/{PACKS}")
    for entry in entries:
        stamp = parse_stamp(leaf(entry.name).removesuffix(pack.SUFFIX))
        if (
            stamp is not None
            and stamp not in plan.needed
            and (stamp in dead or _is_orphan(entry, stamp, token))
        ):
            store.delete(entry.name)
            done.packs.add(stamp)
            freed += entry.size_bytes
    unused -= done.packs
    others = [
        entry for place in (CHECKPOINTS, JOB, SESSIONS, LEASES) for entry in store.files(f"{folder}/{place}")
    ]
    for entry in _abandoned([*entries, *others]):
        store.delete(entry.name)
        freed += entry.size_bytes
    return Pruned(done.checkpoints, done.packs, freed)


def _is_orphan(entry: Entry, stamp: Stamp, token: int) -> bool:
    """Whether a pack that nothing names was left by an earlier holder, long enough ago to be sure."""
    return stamp.token < token and _is_old(entry)


def _abandoned(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.name.endswith(".part") and _is_old(entry)]


def _is_old(entry: Entry) -> bool:
    return entry.modified is not None and time.time() - entry.modified > ORPHAN_AGE_S
