"""A job folder: commit, find the newest good checkpoint, list, prune (docs/format.md).

One object belongs to one process. Several processes may open one folder at once; what keeps them apart is the
token that each commit carries, not anything in here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from survivor.checkpoint import lease, manifest, pack, pruning
from survivor.checkpoint.manifest import Head, Manifest
from survivor.checkpoint.names import CHECKPOINTS, PACKS, Stamp, checked_job, new_stamp, stamps
from survivor.checkpoint.reading import Checkpoint, CheckpointInfo, check_packs, describe, manifest_file
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Snapshot
from survivor.checkpoint.writing import Commit, Writer
from survivor.collecting import paused
from survivor.errors import FormatError, NewerFormatError, StoreError
from survivor.store import open_store
from survivor.store.base import AbsentError, Store

# inside the class, ``list`` is its method
Infos = list[CheckpointInfo]
Stamps = list[Stamp]
Survey = list[tuple[CheckpointInfo, Head | None]]

_LEARN_FROM = 3  # newest good manifests whose blobs a new process may refer to


@dataclass(frozen=True)
class Problem:
    """A checkpoint that was passed over, and why; ``harmless`` where beginning anew comes to the same."""

    checkpoint: str
    why: str
    harmless: bool = False

    def __str__(self) -> str:
        """Return the sentence that a user is told."""
        return f"checkpoint {self.checkpoint} was passed over: {self.why}"


class Repository:
    """The checkpoints of one job in a store.

    Attributes:
        problems: what the last ``newest`` or ``check`` passed over, newest first.
        lease: the lease that this process writes under, if it is known: each commit then also looks whether
            the claim is still its own, which two sessions can lose sight of where exclusive creation is not
            kept (a mounted Drive).
    """

    def __init__(self, store: Store, job: str) -> None:
        """Touch nothing yet; raises ``UsageError`` for a name that no job can have."""
        self.store = store
        self.job = checked_job(job)
        self.problems: list[Problem] = []
        self.lease: lease.Lease | None = None
        self._writer = Writer(store, job)
        self._trusted: set[Stamp] = set()
        self._heads: dict[Stamp, Head] = {}
        self._learnt = False

    @classmethod
    def open(cls, place: str | Path, job: str) -> Repository:
        """Return the repository of a job in a folder or at a URL; nothing is made before the first write.

        Raises:
            UsageError: the URL's scheme is unknown or its package is not installed.
        """
        return cls(open_store(str(place)), job)

    def describe(self) -> str:
        """Return the job folder as a user would type it."""
        return f"{self.store.describe().rstrip('/')}/{self.job}"

    @paused()
    def commit(
        self, snapshot: Snapshot, *, session: int, token: int, origin: dict[str, Any] | None = None
    ) -> CheckpointInfo:
        """Make a snapshot a checkpoint; it is durable when this returns.

        Args:
            snapshot: its blobs' memory is read twice and must not change meanwhile.
            session: number of the session.
            token: of the lease under which this is written; 1 or higher.
            origin: the environment, kept as it is.

        Raises:
            JobRunningError: another session took the job over; nothing was committed.
            FormatError: the snapshot can't be written in this format.
            StoreError: the store refused; the checkpoints that were there are untouched.
        """
        fence: Callable[[], None] = lease.Fence(self.store, self.job, token)
        if self.lease is not None and self.lease.token == token:
            fence = self.lease.check
        fence()
        self._learn()
        stamp = self._next_stamp(token, snapshot.step)
        commit = Commit(snapshot=snapshot, session=session, stamp=stamp, origin=origin or {}, fence=fence)
        written = self._writer.write(commit)
        self._trusted.add(stamp)
        return describe(written.head, True)

    @paused()
    def newest(self, *, load: bool = False) -> Checkpoint | None:
        """Return the newest checkpoint whose every byte is good, or None if there is none.

        What had to be passed over is in ``problems`` afterwards: the caller must tell the user.

        Args:
            load: keep the bytes that were verified in memory, so that they are not read a second time.

        Raises:
            NewerFormatError: a newer survivor wrote here.
            StoreError: the store can't be read, and no good checkpoint could be reached.
        """
        self.problems = []
        unreadable: StoreError | None = None
        names = self._stamps()
        for stamp in reversed(names):
            try:
                checkpoint = Checkpoint(self.store, self.job, self._manifest(stamp))
                checkpoint.load() if load else checkpoint.verify()
            except NewerFormatError:
                raise
            except StoreError as error:
                # absence and damage pass over a checkpoint; a failing store must not look empty
                if not isinstance(error, (FormatError, AbsentError)):
                    unreadable = unreadable or error
                self.problems.append(Problem(str(stamp), str(error)))
                continue
            self._note_unfinished(names, stamp)
            self._trusted.add(stamp)
            self._writer.learn(checkpoint.refs.values(), compared=True)
            checkpoint.info = replace(checkpoint.info, good=True)
            return checkpoint
        if unreadable is not None:
            raise unreadable
        self._note_unfinished(names, None)
        return None

    def open_checkpoint(self, name: str) -> Checkpoint:
        """Return a checkpoint by name, its bytes not yet verified.

        Raises:
            FormatError: there is no such checkpoint, or its manifest is damaged.
        """
        for stamp in self._stamps():
            if str(stamp) == name:
                return Checkpoint(self.store, self.job, self._manifest(stamp))
        raise FormatError(f"{self.describe()} has no checkpoint {name[:80]!r}")

    def list(self) -> Infos:
        """Return all checkpoints, oldest first; of their packs only presence and length are looked at."""
        return [info for info, _ in self._survey(pruning=False)]

    def check(self, name: str) -> CheckpointInfo:
        """Read and verify every byte of one checkpoint; the result's ``good`` is True or False.

        Raises:
            NewerFormatError: a newer survivor wrote it.
        """
        try:
            checkpoint = self.open_checkpoint(name)
        except NewerFormatError:
            raise
        except StoreError as error:
            return CheckpointInfo(name=name, good=False, why=str(error))
        try:
            checkpoint.verify()
        except StoreError as error:
            return replace(checkpoint.info, good=False, why=str(error))
        return replace(checkpoint.info, good=True)

    def prune(self, policy: Retention, *, token: int) -> pruning.Pruned:
        """Remove what the policy does not keep; never the last good checkpoint nor what it needs.

        Raises:
            JobRunningError: another session holds the job.
            NewerFormatError: a newer survivor wrote here; nothing was removed.
            StoreError: the store refused; what was not removed stays good.
        """
        plan = pruning.Plan(self._survey(pruning=True), self._trusted)
        while (doubtful := plan.choose(policy)) is not None:
            info = self.check(doubtful.name)
            plan.judge(info)
        lease.Fence(self.store, self.job, token)()
        done = pruning.carry_out(self.store, self.job, plan, token=token, unused=self._writer.unused)
        self._writer.forget(done.packs)
        return done

    def set_aside(self) -> str:
        """Rename the job folder, so that the job can begin anew; returns ``<job>-YYYYmmdd-HHMMSS``.

        Raises:
            AbsentError: there is no such job.
            StoreError: the store can't rename.
        """
        name = f"{self.job[:80]}-{time.strftime('%Y%m%d-%H%M%S')}"
        taken = set(self.store.folders(""))
        if name in taken:
            name = next(f"{name}-{number}" for number in range(2, 10_000) if f"{name}-{number}" not in taken)
        self.store.move(self.job, name)
        self._writer = Writer(self.store, self.job)
        self._trusted, self._heads, self._learnt = set(), {}, False
        return name

    def _survey(self, *, pruning: bool) -> Survey:
        """Look at all checkpoints, oldest first.

        To prune, what this process has read before is taken as read, and a store that fails is an error: to
        list, it is a line of the listing.
        """
        found: Survey = []
        sizes: dict[Stamp, int] = {}
        for stamp in self._stamps():
            blank = CheckpointInfo(name=str(stamp), step=stamp.step)
            head: Head | None = None
            try:
                head = self._heads.get(stamp) if pruning else None
                head = self._heads[stamp] = head or self._manifest(stamp).head
                check_packs(self.store, self.job, head.packs, headers=False, sizes=sizes)
                info = describe(head, True if stamp in self._trusted else None)
            except NewerFormatError:
                raise
            except StoreError as error:
                damaged = isinstance(error, (FormatError, AbsentError))
                if pruning and not damaged:
                    raise
                known = describe(head, None) if head else blank
                info = replace(known, good=False if damaged else None, why=str(error))
            found.append((info, head))
        return found

    def _note_unfinished(self, names: Stamps, newest: Stamp | None) -> None:
        """Tell of packs that belong to a later commit of which there is no manifest: cut off, or lost since."""
        packs = stamps([entry.name for entry in self.store.files(f"{self.job}/{PACKS}")], pack.SUFFIX)
        begun = {(stamp.token, stamp.step): stamp for stamp in packs}
        known = {(stamp.token, stamp.step) for stamp in names}
        after = (newest.token, newest.step) if newest else (0, 0)
        for key, stamp in sorted(begun.items(), reverse=True):
            if key > after and key not in known:
                why = f"its tensors are there, but it was not finished or its manifest is gone (step {stamp.step})"
                # a script's start that was cut off in its commit: nothing had been trained or printed
                self.problems.append(Problem(str(stamp), why, harmless=newest is None and stamp.step == 0))

    def _learn(self) -> None:
        """Take note, once, of what earlier processes have stored."""
        if self._learnt:
            return
        learnt = 0
        for stamp in reversed(self._stamps()):
            try:
                blobs, _ = self._manifest(stamp).body()
            except NewerFormatError:
                raise
            except StoreError:
                continue
            self._writer.learn(blobs.values())
            learnt += 1
            if learnt == _LEARN_FROM:
                break
        self._learnt = True

    def _stamps(self) -> Stamps:
        entries = self.store.files(f"{self.job}/{CHECKPOINTS}")
        return stamps([entry.name for entry in entries], manifest.SUFFIX)

    def _next_stamp(self, token: int, step: int) -> Stamp:
        turns = [
            stamp.turn for stamp in (*self._stamps(), *self._trusted) if (stamp.token, stamp.step) == (token, step)
        ]
        return new_stamp(token, step, max(turns, default=0) + 1)

    def _manifest(self, stamp: Stamp) -> Manifest:
        name = manifest_file(self.job, stamp)
        return manifest.read(stamp, self.store.get(name), name)
