"""What the commands that look into a job folder share: the options that find it, and words for sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from survivor.checkpoint.names import checked_job
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, UsageError
from survivor.store import absolute, open_store
from survivor.supervisor.options import DEFAULT_STORE
from survivor.supervisor.places import default_store

store_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--store",
    envvar="SURVIVOR_STORE",
    default=default_store,
    show_default=DEFAULT_STORE,
    help="Folder or URL in which job folders live. [env: SURVIVOR_STORE]",
)


def open_job(store: str, job: str) -> Repository:
    """Return the repository of a job that is there.

    Raises:
        UsageError: there is no such job.
        StoreError: the store can't be read.
    """
    place = open_store(absolute(store))
    jobs = sorted(place.folders(""))
    if checked_job(job) not in jobs:
        known = (
            f"Jobs there: {', '.join(jobs[:20])}" if jobs else "There are no jobs; name another with --store."
        )
        raise UsageError(f"there is no job {job!r} in {place.describe()}", advice=known)
    return Repository(place, job)


def recorded_goals(repository: Repository) -> list[str]:
    """Return what the job was last told to keep its best by: ``min:NAME`` or ``max:NAME`` each; [] for nothing.

    Raises:
        NewerFormatError: a newer survivor wrote here.
        StoreError: the store can't be read.
    """
    for info in reversed(repository.list()):
        if info.good is False:
            continue
        try:
            document = repository.open_checkpoint(info.name).document
        except FormatError:
            continue
        goals = document.get("best") if isinstance(document, dict) else None
        return [str(goal) for goal in goals] if isinstance(goals, dict) else []
    return []


def size_text(size_bytes: int) -> str:
    """Return a size for people: ``"3.2 MB"``, decimal units."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
