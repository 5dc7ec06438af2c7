"""``survivor prune JOB``: remove old checkpoints of a job that is not running."""

from __future__ import annotations

import click

from survivor.cli.folders import open_job, recorded_goals, size_text, store_option


@click.command(name="prune")
@store_option
@click.option("--keep", default=3, show_default=True, help="Keep so many of the newest.")
@click.option(
    "--keep-hourly", default=24, show_default=True, help="Keep the newest of each of so many hours."
)
@click.option(
    "--keep-best",
    metavar="MIN|MAX:METRIC",
    multiple=True,
    help="Keep the best, e.g. min:val_loss.  [default: as the job was run]",
)
@click.option(
    "--take-over", is_flag=True, help="Prune although a session runs the job; the session then stops."
)
@click.argument("job")
def command(
    *, store: str, keep: int, keep_hourly: int, keep_best: tuple[str, ...], take_over: bool, job: str
) -> None:
    """Remove old checkpoints of JOB, never the last good one.

    A running job prunes itself; this is for one at rest.
    """
    from survivor.checkpoint.lease import Lease
    from survivor.checkpoint.retention import Retention, is_goal

    repository = open_job(store, job)
    best = keep_best or tuple(goal for goal in recorded_goals(repository) if is_goal(goal))
    policy = Retention(keep=keep, hourly=keep_hourly, best=best)
    lease = Lease.acquire(repository.store, job, session=0, take_over=take_over)
    try:
        done = repository.prune(policy, token=lease.token)
    finally:
        lease.release()
    left = len(repository.list())
    click.echo(
        f"removed {len(done.checkpoints)} checkpoints and {len(done.packs)} packs "
        f"({size_text(done.freed_bytes)}); {left} checkpoints stay"
    )
