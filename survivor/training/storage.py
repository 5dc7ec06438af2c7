"""The job's checkpoints as the child uses them: the newest one at the start, a commit for each snapshot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from survivor.channel import Ready, Start
from survivor.checkpoint.reading import Checkpoint
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import StoreError

_PRUNE_EVERY = 8  # commits; pruning lists the folder, which costs on a network mount

class Storage:
    """Reads and commits under the session and the token that the parent gave."""

    def __init__(self, start: Start) -> None:
        """Open the job folder that ``start`` names."""
        self._start = start
        self._repository = Repository.open(start.store, start.job)
        self._retention = Retention(keep=start.keep, hourly=start.keep_hourly, best=start.keep_best)
        self._commits = 0

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest good checkpoint; what had to be passed over is told through ``warn``.

        Raises:
            StoreError: the store can't be read.
        """
        checkpoint = self._repository.newest(load=True)
        for problem in self._repository.problems:
            warn(str(problem))
        if checkpoint is None and self._repository.problems:
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
        info = self._repository.commit(
            snapshot, session=self._start.session, token=self._start.token, origin=dict(self._start.origin)
        )
        self._commits += 1
        if self._commits % _PRUNE_EVERY == 0:
            # what was committed is safe whether or not old checkpoints can be removed
            with contextlib.suppress(StoreError):
                self._repository.prune(self._retention, token=self._start.token)
        return info.name


def ready_message(checkpoint: Checkpoint | None) -> Ready:
    """What the parent is told about where the program goes on."""
    if checkpoint is None:
        return Ready(pid=os.getpid())
    info = checkpoint.info
    return Ready(
        pid=os.getpid(), checkpoint=info.name, step=info.step, position=info.position, saved_at=info.time
    )
