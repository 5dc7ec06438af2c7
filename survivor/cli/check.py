"""``survivor check JOB``: read and verify every byte of a job folder."""

from __future__ import annotations

import sys

import click

from survivor.cli.folders import open_job, size_text, store_option
from survivor.errors import StoreError


@click.command(name="check")
@store_option
@click.option("--quiet", is_flag=True, help="Print only what is damaged.")
@click.argument("job")
def command(store: str, quiet: bool, job: str) -> None:
    """Read every byte of JOB's folder and say what is good and what is damaged.

    Changes nothing. Ends with exit code 4 if anything is damaged.
    """
    from survivor.checkpoint.checking import check_job

    repository = open_job(store, job)
    result = check_job(repository)
    good = [info for info in result.checkpoints if info.good]
    for finding in result.findings:
        click.echo(f"DAMAGED {finding.file}: {finding.why}")
    if not quiet:
        for name in result.leftovers:
            click.echo(f"not needed: {name} ('survivor prune {job}' removes it a day on)")
        read = size_text(result.read_bytes)
        counts = f"{len(good)} of {len(result.checkpoints)} checkpoints are good"
        click.echo(f"{result.files} files, {read} read: {counts}")
        if good and result.findings:
            click.echo(f"the job would go on from step {good[-1].step} ({good[-1].position})")
    if result.checkpoints and not good:
        click.echo("no checkpoint is good: the job can't go on")
    if result.findings:
        sys.exit(StoreError.exit_code)
