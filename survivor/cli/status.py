"""``survivor status``: the jobs of a store."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

import click

from survivor.cli.folders import size_text
from survivor.supervisor.places import default_store

if TYPE_CHECKING:
    from survivor.report.status import JobStatus


@click.command(name="status")
@click.option("--store", envvar="SURVIVOR_STORE", help="The same as STORE. [env: SURVIVOR_STORE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@click.argument("place", metavar="[STORE]", required=False)
def command(store: str | None, as_json: bool, place: str | None) -> None:
    """Show the jobs in STORE: how far each is, who runs it, its newest good checkpoint, what to type next.

    Only manifests and the lengths of packs are looked at; 'survivor check JOB' reads every byte.
    """
    from survivor.report.status import jobs_of
    from survivor.store import absolute, open_store

    where = open_store(absolute(place or store or default_store()))
    jobs = jobs_of(where)
    if as_json:
        for job in jobs:
            click.echo(json.dumps(dataclasses.asdict(job)))
        return
    if not jobs:
        click.echo(f"there are no jobs in {where.describe()}")
    for job in jobs:
        click.echo("\n".join(_lines(job)))


def _lines(job: JobStatus) -> list[str]:
    from survivor.supervisor.console import time_text

    sessions = "1 session" if job.sessions == 1 else f"{job.sessions} sessions"
    reason = f" ({job.reason})" if job.reason and job.state in ("stopped", "failed") else ""
    lines = [f"{job.job}: {job.state}{reason}, {sessions}"]
    if job.holder:
        lines.append(f"  held by {job.holder}")
    if job.step:
        age = time_text(time.time() - job.saved_at)
        lines.append(
            f"  newest checkpoint: {job.position} (step {job.step}, {size_text(job.size_bytes)}, {age} ago; "
            f"{job.checkpoints} in all)"
        )
    elif job.problem and job.state != "unreadable":
        lines.append(f"  none of its {job.checkpoints} checkpoints of training is whole")
    elif job.state != "unreadable":
        lines.append("  no training checkpoint yet")
    if job.metrics:
        lines.append("  " + ", ".join(f"{name} {value:.6g}" for name, value in job.metrics.items()))
    if job.problem:
        lines.append(f"  damaged: {job.problem}")
    if job.next_command:
        lines.append(f"  next: {job.next_command}")
    return lines
