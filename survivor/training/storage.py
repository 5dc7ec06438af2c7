"""The job's checkpoints as the child uses them: the newest one at the start, a commit where it has to do it itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from survivor import arena
from survivor.arena import Loaded
from survivor.channel import Ready, Start
from survivor.checkpoint.committing import Committer
from survivor.checkpoint.reading import Checkpoint
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import StoreError
from survivor.training import output

#: What the parent is told in place of a checkpoint's name when the child continues from the arena.
FROM_ARENA = "memory"


class Storage:
    """Reads and commits under the session and the token that the parent gave."""

    def __init__(self, start: Start) -> None:
        """Open the job folder that ``start`` names."""
        self._start = start
        self._repository = Repository.open(start.store, start.job)
        self._commit = Committer(
            self._repository,
            session=start.session,
            token=start.token,
            origin=start.origin,
            retention=Retention(keep=start.keep, hourly=start.keep_hourly, best=start.keep_best),
        )

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | Loaded | None:
        """What to continue from; a checkpoint that had to be passed over is told through ``warn``.

        Raises:
            StoreError: the store can't be read.
        """
        if self._start.from_arena and (loaded := arena.load(self._start.arena)) is not None:
            return loaded
        checkpoint = self._repository.newest(load=True)
        for problem in self._repository.problems:
            warn(str(problem))
        if checkpoint is None and not all(problem.harmless for problem in self._repository.problems):
            raise StoreError(
                "the job has checkpoints, but none of them is whole",
                advice=f"look at it with: survivor check {self._start.job}; or start over with --fresh",
            )
        return checkpoint

    def __call__(self, snapshot: Snapshot, /) -> str:
        """Commit ``snapshot`` and return the checkpoint's name.

        Raises:
            JobRunningError: another session took the job over.
            StoreError: the store refused.
        """
        transcript = output.current()
        info = self._commit(snapshot if transcript is None else transcript.filled(snapshot))
        self._commit.tidy()
        return info.name


def ready_message(checkpoint: Checkpoint | Loaded | None) -> Ready:
    """What the parent is told about where the program goes on."""
    if checkpoint is None:
        return Ready(pid=os.getpid())
    fields: dict[str, Any]
    if isinstance(checkpoint, Loaded):
        held = checkpoint.held
        fields = {"checkpoint": FROM_ARENA, "saved_at": held.taken_at, "step": held.step, "position": held.position}
    else:
        info = checkpoint.info
        fields = {"checkpoint": info.name, "saved_at": info.time, "step": info.step, "position": info.position}
    return Ready(pid=os.getpid(), **fields)
