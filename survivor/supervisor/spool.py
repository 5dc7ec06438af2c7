"""The spool: a store on the local disk, for checkpoints that the job's own store does not take at the moment.

Its checkpoints are those of the job, with the same names. The next session on this machine brings the newest one home,
if the job has not gone on elsewhere meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import StoreError


def folder(store: str) -> str:
    """The spool of a store, as the root of a store of its own; nothing is made by this."""
    key = hashlib.sha256(store.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(tempfile.gettempdir(), f"survivor-spool-{os.getuid()}", key)


def prepare(root: str) -> None:
    """Make the spool's folder, for this user alone.

    Raises:
        StoreError: somebody else has put something there.
    """
    top = os.path.dirname(root)
    with contextlib.suppress(FileExistsError):
        os.mkdir(top, 0o700)
    found = os.lstat(top)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(f"{top} is not a folder of this user alone", advice="remove it, or set TMPDIR")


def remove(root: str, job: str) -> None:
    """Forget what the spool holds of a job."""
    shutil.rmtree(Path(root) / job, ignore_errors=True)


def bring_home(store: str, repository: Repository, *, session: int, token: int) -> str:
    """Commit the spool's newest checkpoint to the job folder, if it is newer than all that is there.

    Returns:
        Its position, "" if there was nothing to bring.

    Raises:
        StoreError: the store refused; the spool stays.
    """
    root = folder(store)
    if not (Path(root) / repository.job).is_dir():
        return ""
    prepare(root)
    spooled = Repository.open(root, repository.job).newest(load=True)
    names = [info.name for info in repository.list()]
    # names sort by token and step: what a later session has made is newer than any step of an earlier one
    if spooled is None or any(name[:19] >= spooled.info.name[:19] for name in names):
        remove(root, repository.job)
        return ""
    snapshot = Snapshot(
        document=spooled.document,
        blobs=dict(spooled.blobs()),
        step=spooled.step,
        position=spooled.position,
        metrics=dict(spooled.metrics),
    )
    repository.commit(snapshot, session=session, token=token, origin=dict(spooled.info.origin))
    remove(root, repository.job)
    return spooled.position or "its start"
