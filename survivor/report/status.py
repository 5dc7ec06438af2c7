"""The jobs of a store: how far each is, who runs it, and what to type next."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import Literal

from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import live_holder
from survivor.checkpoint.reading import CheckpointInfo
from survivor.checkpoint.repository import Repository
from survivor.errors import StoreError, UsageError
from survivor.store.base import Store

State = Literal["running", "finished", "failed", "stopped", "cut off", "new", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job.

    Attributes:
        job: its name.
        state: what it is doing, or how its last session ended.
        step: safe points passed, of the newest checkpoint that is whole.
        position: the loop stack there, in words.
        saved_at: when that checkpoint was written, in seconds since 1970; 0 for none.
        checkpoints: how many there are.
        size_bytes: of the newest one's tensors.
        metrics: what was reported up to it.
        sessions: how many there were.
        holder: who runs it, in words; "" for nobody.
        reason: why its last session ended, in words.
        next_command: what to type to go on, or to see its output.
        problem: what is damaged or can't be read.
    """

    job: str
    state: State
    step: int = 0
    position: str = ""
    saved_at: float = 0.0
    checkpoints: int = 0
    size_bytes: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    sessions: int = 0
    holder: str = ""
    reason: str = ""
    next_command: str = ""
    problem: str = ""


def jobs_of(store: Store) -> list[JobStatus]:
    """All jobs of a store, by name; folders that hold no job are left out.

    Raises:
        StoreError: the store itself can't be listed.
    """
    found = []
    for name in sorted(store.folders("")):
        status = _status_or_problem(store, name)
        if status is not None:
            found.append(status)
    return found


def _status_or_problem(store: Store, name: str) -> JobStatus | None:
    try:
        return status_of(Repository(store, name))
    except StoreError as error:
        return JobStatus(job=name, state="unreadable", problem=str(error), next_command=_check(store, name))
    except UsageError:
        return None  # a name that no job can have


def status_of(repository: Repository) -> JobStatus | None:
    """One job; None if the folder holds none.

    Raises:
        StoreError: it can't be read.
    """
    record, store = JobRecord.read(repository), repository.store
    if record is None:
        return None
    sessions = SessionRecord.read_all(repository)
    infos = repository.list()
    whole = [info for info in infos if info.good is not False]
    newest = whole[-1] if whole else CheckpointInfo(name="")
    holder = live_holder(store, repository.job)
    damaged = [info for info in infos if info.good is False]
    last = sessions[-1] if sessions else None
    state = _state(record, last, holder is not None)
    return JobStatus(
        job=repository.job,
        state=state,
        step=newest.step,
        position=newest.position if newest.step else "",
        saved_at=newest.time if newest.step else 0.0,
        checkpoints=len(infos),
        size_bytes=newest.size_bytes,
        metrics=newest.metrics,
        sessions=len(sessions),
        holder=str(holder) if holder else "",
        reason=last.reason if last else "",
        next_command=_next_command(repository, record, state) if whole or not infos else _check(store, repository.job),
        problem=f"{damaged[-1].name}: {damaged[-1].why}" if damaged else "",
    )


def _state(record: JobRecord, last: SessionRecord | None, held: bool) -> State:
    if held:
        return "running"
    if record.finished:
        return "finished"
    if last is None:
        return "new"
    if last.ended is None:
        return "cut off"
    return "stopped" if last.result.get("outcome") == "saved" else "failed"


def _next_command(repository: Repository, record: JobRecord, state: State) -> str:
    store = ["--store", repository.store.describe()]
    if state in ("finished", "running"):
        return shlex.join(["survivor", "log", *store, repository.job])
    if record.argv[:1] == ("@survivable",):
        return f"call {record.argv[1]}() again"
    stem = os.path.splitext(os.path.basename(record.argv[0]))[0] if record.argv else ""
    name = [] if stem == repository.job else ["--job", repository.job]
    elsewhere = record.folder != os.getcwd()
    if (record.script and not os.path.exists(record.script)) or (elsewhere and not os.path.isdir(record.folder)):
        return shlex.join(["survivor", "resume", repository.describe()])
    command = shlex.join(["survivor", "run", *store, *name, *record.argv])
    return f"{shlex.join(['cd', record.folder])} && {command}" if elsewhere else command


def _check(store: Store, job: str) -> str:
    return shlex.join(["survivor", "check", "--store", store.describe(), job])
