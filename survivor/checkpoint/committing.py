"""One session's commits: each snapshot under the session's token, and now and then a look at what may go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from survivor.checkpoint.reading import CheckpointInfo
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import StoreError

_PRUNE_EVERY = 8  # commits; pruning lists the folder, which costs on a network mount


class Committer:
    """Commits under the token of one lease.

    Args:
        repository: the job folder.
        session: number of the session.
        token: of its lease.
        origin: the environment, kept with every checkpoint.
        retention: what stays.
    """

    def __init__(
        self, repository: Repository, *, session: int, token: int, origin: Mapping[str, str], retention: Retention
    ) -> None:
        self._repository = repository
        self._session, self._token, self._origin = session, token, dict(origin)
        self._retention = retention
        self._commits = 0

    def __call__(self, snapshot: Snapshot, /) -> CheckpointInfo:
        """Make ``snapshot`` a checkpoint; it is durable when this returns.

        Raises:
            JobRunningError: another session took the job over.
            StoreError: the store refused.
        """
        info = self._repository.commit(
            snapshot, session=self._session, token=self._token, origin=dict(self._origin)
        )
        self._commits += 1
        return info

    def tidy(self) -> None:
        """After a commit: remove, now and then, what the retention does not keep."""
        if self._commits % _PRUNE_EVERY == 0:
            # what was committed is safe whether or not old checkpoints can be removed
            with contextlib.suppress(StoreError):
                self._repository.prune(self._retention, token=self._token)
