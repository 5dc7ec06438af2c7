"""``survivor export JOB FILE``: choose a checkpoint; a process of its own, which loads torch, writes the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from survivor.checkpoint import retention
from survivor.checkpoint.reading import CheckpointInfo
from survivor.checkpoint.repository import Repository
from survivor.cli.folders import open_job, recorded_goals, store_option
from survivor.errors import FormatError, UsageError
from survivor.store import absolute

_ENDINGS = (".safetensors", ".pt", ".pth")


@click.command(name="export")
@store_option
@click.option("--best", is_flag=True, help="The checkpoint with the best metric, as --keep-best named it.")
@click.option("--metric", metavar="MIN|MAX:METRIC", help="Which metric --best goes by, e.g. min:val_loss.")
@click.option("--checkpoint", metavar="NAME|STEP", help="This checkpoint.  [default: the newest good one]")
@click.option("--object", "name", metavar="VARIABLE", help="Only this object's state, e.g. model or trainer.ema.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.argument("job")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def command(
    *,
    store: str,
    best: bool,
    metric: str | None,
    checkpoint: str | None,
    name: str | None,
    force: bool,
    job: str,
    file: Path,
) -> None:
    """Write what a checkpoint of JOB holds to FILE, for use without survivor.

    FILE.safetensors gets the weights of one model, for 'safetensors.torch.load_file'. FILE.pt gets a dict of
    state dicts under the names of your variables, for 'torch.load': model, optimizer, scheduler. With --object
    it is the state dict of that one alone.
    """
    if file.suffix not in _ENDINGS:
        raise UsageError(f"{str(file)!r} ends in none of {', '.join(_ENDINGS)}: the ending says what is written")
    if file.exists() and not force:
        raise UsageError(f"{str(file)!r} is there already", advice="Replace it with --force.")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {str(file.absolute().parent)!r}")
    if checkpoint and (best or metric):
        raise UsageError("--checkpoint names one already: leave out --best and --metric")
    repository = open_job(store, job)
    if best or metric:
        found = best_checkpoint(repository, metric)
    else:
        found = named_checkpoint(repository, checkpoint) if checkpoint else newest_checkpoint(repository)
    order = {"store": absolute(store), "job": job, "checkpoint": found, "out": str(file.absolute()), "object": name}
    ended = subprocess.run([sys.executable, "-m", "survivor.training.export", json.dumps(order)], check=False)
    sys.exit(ended.returncode)


def newest_checkpoint(repository: Repository) -> str:
    """Return the name of the newest one whose every byte is good; raises ``UsageError`` if there is none."""
    found = repository.newest()
    for problem in repository.problems:
        click.echo(f"survivor: {problem}", err=True)
    if found is None:
        raise UsageError(f"{repository.describe()} has no good checkpoint")
    return found.info.name


def named_checkpoint(repository: Repository, name: str) -> str:
    """Return the full name of a checkpoint that is named, or told by its step (the last of several).

    Raises:
        UsageError: there is none.
        FormatError: it is damaged.
    """
    having = [info.name for info in repository.list() if name in (info.name, str(info.step))]
    if not having:
        raise UsageError(
            f"{repository.describe()} has no checkpoint {name!r}",
            advice=f"'survivor inspect {repository.job}' lists them.",
        )
    return _whole(repository.check(having[-1])).name


def best_checkpoint(repository: Repository, metric: str | None) -> str:
    """Return the name of the good checkpoint with the best metric.

    Raises:
        UsageError: it is not clear which metric, or no checkpoint has it.
    """
    infos = [info for info in repository.list() if info.good is not False]
    spec = metric or _recorded_goal(repository)
    while (found := retention.best(infos, spec)) is not None:
        checked = repository.check(found.name)
        if checked.good:
            return checked.name
        click.echo(f"survivor: checkpoint {found.name} was passed over: {checked.why}", err=True)
        infos = [info for info in infos if info.name != found.name]
    raise UsageError(
        f"no good checkpoint of {repository.describe()} has the metric of {spec!r}",
        advice="A script reports metrics with survivor.report(val_loss=…).",
    )


def _recorded_goal(repository: Repository) -> str:
    """The metric that the job itself keeps its best by."""
    goals = recorded_goals(repository)
    if len(goals) != 1:
        several = f" ({', '.join(goals)})" if goals else ""
        raise UsageError(
            f"--best by which metric?{several}",
            advice="Say --metric min:val_loss, or run the job with one --keep-best.",
        )
    return goals[0]


def _whole(info: CheckpointInfo) -> CheckpointInfo:
    if not info.good:
        raise FormatError(f"checkpoint {info.name} is damaged: {info.why}")
    return info
