"""``survivor inspect JOB``: what checkpoints a job has."""

from __future__ import annotations

import dataclasses
import json
import time

import click

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
            f"{'step':>10}  {'session':>7}  {'written':<19}  {'size':>9}  {'new':>9}  {'state':<7}  position"
        )
    for info in infos:
        written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.time)) if info.time else "?"
        metrics = "  ".join(f"{name}={value:.6g}" for name, value in info.metrics.items())
        sizes = f"{size_text(info.size_bytes):>9}  {size_text(info.new_bytes):>9}"
        line = f"{info.step:>10}  {info.session:>7}  {written:<19}  {sizes}  {_STATE[info.good]:<7}  {info.position}"
        click.echo("  ".join(part for part in (line, metrics) if part))
        if info.why:
            click.echo(f"            {info.name}: {info.why}")
