"""``survivor inspect JOB``: what checkpoints a job has."""

from __future__ import annotations

import dataclasses
import json
import time

import click

from survivor.checkpoint.reading import CheckpointInfo
from survivor.cli.folders import open_job, size_text, store_option

#: What a listing says of a checkpoint, by its ``good``.
_STATE = {True: "good", False: "DAMAGED", None: "whole"}


@click.command(name="inspect")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object for the job.")
@click.argument("job")
def command(store: str, as_json: bool, job: str) -> None:
    """Show the checkpoints of JOB: step, position, size, what is good.

    Only their manifests and the lengths of their packs are looked at; 'survivor check JOB' reads every byte.
    """
    from survivor.checkpoint.job import SessionRecord
    from survivor.checkpoint.lease import live_holder

    repository = open_job(store, job)
    infos = repository.list()
    sessions = SessionRecord.read_all(repository)
    holder = live_holder(repository.store, job)
    if as_json:
        checkpoints = [dataclasses.asdict(info) for info in infos]
        ran = [dataclasses.asdict(session) for session in sessions]
        running = dataclasses.asdict(holder) if holder else None
        click.echo(json.dumps({"job": job, "checkpoints": checkpoints, "sessions": ran, "holder": running}))
        return
    click.echo(f"{repository.describe()}: {len(infos)} checkpoints, {len(sessions)} sessions")
    click.echo(f"running: {holder}" if holder else "running: no")
    if infos:
        click.echo(
            "      step  session  written                   size        new  state    position, metrics"
        )
    for info in infos:
        click.echo(_line(info))
        if info.why:
            click.echo(f"            {info.name}: {info.why}")


def _line(info: CheckpointInfo) -> str:
    written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.time)) if info.time else "?"
    metrics = [f"{name}={value:.6g}" for name, value in info.metrics.items()]
    columns = [
        f"{info.step:>10}",
        f"{info.session:>7}",
        f"{written:<19}",
        f"{size_text(info.size_bytes):>9}",
        f"{size_text(info.new_bytes):>9}",
        f"{_STATE[info.good]:<7}",
        ", ".join([info.position, *metrics]),
    ]
    return "  ".join(columns).rstrip()
