"""``survivor resume FOLDER``: go on with a job where there is nothing but survivor and its folder."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from survivor.cli.run import Span

if TYPE_CHECKING:
    from survivor.supervisor.resume import Plan


@click.command(name="resume")
@click.option("--cwd", type=click.Path(exists=True, file_okay=False), help="Working folder of the script here.")
@click.option("--set", "changes", metavar="ARG=VALUE", multiple=True, help="Another value of an argument, here.")
@click.option("--yes", is_flag=True, help="Don't ask before the sources in the folder are run.")
@click.option("--ignore-missing", is_flag=True, help="Start although something seems to be missing.")
@click.option("--show", is_flag=True, help="Lay the sources out and show them; run nothing.")
@click.option("--every", type=Span(), default="30s", show_default=True, help="Time between checkpoints.")
@click.option("--grace", type=Span(), default="30s", show_default=True, help="Time from a signal to the end.")
@click.option("--time-limit", type=Span(), help="Save and end after this time, e.g. 11h30m.")
@click.option(
    "--on-drift", type=click.Choice(["warn", "error", "ignore"]), default="warn", help="When machines differ."
)
@click.option("--wait", is_flag=True, help="Wait while another session runs the job.")
@click.option("--take-over", is_flag=True, help="Take the job from a session that still runs it.")
@click.option("--allow-partial", is_flag=True, help="Go on although some objects can't be saved.")
@click.option("--ignore", metavar="NAME", multiple=True, help="Don't save this variable. May be repeated.")
@click.option("--carry", metavar="PATTERN", multiple=True, help="Carry files that the script writes, of any size.")
@click.option("--no-carry", is_flag=True, help="Carry no files that the script writes.")
@click.option("--quiet", is_flag=True, help="Print only warnings and errors.")
@click.argument("folder")
def command(
    *,
    folder: str,
    cwd: str | None,
    changes: tuple[str, ...],
    yes: bool,
    ignore_missing: bool,
    show: bool,
    **options: Any,
) -> None:
    """Go on with the job in FOLDER, on a machine that has nothing but survivor and that folder.

    Command line, script and its modules come out of the folder, into a scratch folder that is shown. Where
    you have the script at hand, 'survivor run' is the usual way.
    """
    from survivor.errors import UsageError
    from survivor.supervisor import resume
    from survivor.supervisor.run import run_job

    plan = resume.lay_out(*resume.find(folder), changes)
    where = os.path.abspath(cwd) if cwd else plan.record.folder
    if not os.path.isdir(where):
        where = os.getcwd()
    _show(plan, where)
    lacking = resume.missing(plan, where)
    if lacking and not ignore_missing:
        raise UsageError(
            f"{plan.job}: missing on this machine:\n" + "\n".join(f"  {line}" for line in lacking),
            advice="install it, or say where the data is: --cwd FOLDER, --set ARG=VALUE; or --ignore-missing",
        )
    if show:
        return
    if not (yes or plan.in_place):
        if not sys.stdin.isatty():
            raise UsageError(
                f"{plan.job}: these sources come from the job's folder and have not been run on this machine",
                advice=f"look at them in {plan.root}, and say --yes",
            )
        click.confirm(f"Run {plan.target}?", abort=True, err=True)
    again = [word for word in sys.argv[1:] if word != "--take-over"]
    settings = _options(plan, shlex.join(["survivor", *again]), options)
    os.chdir(where)
    sys.exit(run_job(settings))


def _options(plan: Plan, command_line: str, given: dict[str, Any]) -> Any:
    from survivor.supervisor.options import RunOptions

    return RunOptions(
        kind="module" if plan.is_module else "script",
        target=plan.target,
        args=plan.args,
        root=str(plan.root) if plan.is_module else "",
        known_as=plan.record.argv,
        store=plan.store,
        job=plan.job,
        command=command_line,
        every_s=given.pop("every"),
        grace_s=given.pop("grace"),
        time_limit_s=given.pop("time_limit"),
        **given,
    )


def _show(plan: Plan, cwd: str) -> None:
    from survivor.supervisor.resume import digest, texts

    place = "unchanged where they were recorded" if plan.in_place else "from the job folder"
    _say(f"{plan.job}: sources in {plan.root} ({place}):")
    for name, text in texts(plan.record).items():
        _say(f"  {digest(text)}  {name}")
    python = ["python", "-m"] if plan.is_module else ["python"]
    _say(f"{plan.job}: in {cwd}: {shlex.join([*python, plan.target, *plan.args])}")


def _say(text: str) -> None:
    click.echo(f"survivor: {text}", err=True)
