"""survivor's writer by itself: a job of one process that commits, prunes, and goes on from what it finds."""

import hashlib
import itertools
from pathlib import Path

from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Blob, Snapshot

STEPS = 8


def after(state: bytes) -> bytes:
    """The next state; nothing but the last one leads to it."""
    return hashlib.shake_128(state).digest(3000)


def main() -> None:
    repository = Repository.open(".", "job")
    lease = Lease.acquire(repository.store, "job", session=1, take_over=True)
    found = repository.newest()
    step = found.step if found else 0
    state = bytes(found.blob("state").data) if found else b"begin"
    print(f"resumed from step {step}", flush=True)
    for number in itertools.count(step + 1):
        if number > STEPS:
            break
        state = after(state)
        blob = Blob(name="state", dtype="U8", shape=(len(state),), data=memoryview(state))
        snapshot = Snapshot(document={"step": number}, blobs={"state": blob}, step=number, position="")
        repository.commit(snapshot, session=1, token=lease.token)
        repository.prune(Retention(keep=3, hourly=0), token=lease.token)
    lease.release()
    Path("final.bin").write_bytes(state)


main()
