"""``survivor log JOB``: everything that a job has printed, once, whatever number of sessions printed it."""

from __future__ import annotations

import sys

import click

from survivor.cli.folders import open_job, store_option


@click.command(name="log")
@store_option
@click.argument("job")
def command(store: str, job: str) -> None:
    """Print what JOB has printed to standard output: one text, as the plain script prints it.

    It ends at the newest checkpoint, or, once the script has ended, at its end. What a killed session printed
    after its newest checkpoint is not in it: that work is done again. Nor is standard error, or what C code and
    other programs write to the terminal by themselves. It ends at 1 GiB, and says so.
    """
    from survivor.report.output import job_output

    output = job_output(open_job(store, job))
    for part in output.parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
    if output.problem:
        click.echo(f"survivor: warning: {output.problem}", err=True)
    if not output.ended and sys.stdout.isatty():
        where = f"at {output.position}" if output.position else "before its first checkpoint"
        click.echo(f"survivor: {job}: not finished; this is its output {where}", err=True)
