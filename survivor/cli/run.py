"""``survivor run``: parse the command line, hand it to a session, exit with its code."""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from survivor.supervisor.options import DEFAULT_STORE
from survivor.supervisor.places import default_store

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)([smhd]?))")


class Span(click.ParamType[float]):
    """A span of time: ``30``, ``30s``, ``5m``, ``11h30m``; in seconds, infinite for ``none``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds as a float."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        if text == "none":
            return math.inf
        if not re.fullmatch(rf"(?:{_SPAN.pattern})+", text):
            self.fail(f"{value!r} is no span of time: write 30s, 5m or 11h30m", param, ctx)
        return sum(float(number) * _UNITS_S[unit] for number, unit in _SPAN.findall(text))


class Share(click.ParamType[float]):
    """A share: ``1%`` or ``0.01``."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share as a fraction of 1."""
        text = str(value).strip()
        try:
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{value!r} is no share: write 1% or 0.01", param, ctx)


class RunCommand(click.Command):
    """A command whose options end where the program begins: at SCRIPT, or behind ``-m MODULE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``--`` behind ``-m MODULE``, which ends python's own options as well."""
        takes_value = {
            name: not parameter.is_flag
            for parameter in self.params
            if isinstance(parameter, click.Option)
            for name in parameter.opts
        }
        position = 0
        while position < len(args) and args[position].startswith("-") and args[position] != "--":
            word = args[position]
            position += 2 if takes_value.get(word, False) else 1
            if word.startswith("-m"):
                return super().parse_args(ctx, [*args[:position], "--", *args[position:]])
        return super().parse_args(ctx, args)


@click.command(name="run", cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option("-m", "module", metavar="MODULE", help="Run a module, as 'python -m' does, in place of SCRIPT.")
@click.option(
    "--store",
    envvar="SURVIVOR_STORE",
    default=default_store,
    show_default=DEFAULT_STORE,
    help="Folder or URL (s3://bucket/path) in which job folders live. [env: SURVIVOR_STORE]",
)
@click.option("--job", metavar="NAME", help="Name of the job.  [default: the script's name]")
@click.option("--every", type=Span(), default="30s", show_default=True, help="Time between checkpoints.")
@click.option("--overhead", type=Share(), default="1%", show_default=True, help="Share of time for saving.")
@click.option("--grace", type=Span(), default="30s", show_default=True, help="Time from a signal to the end.")
@click.option(
    "--time-limit",
    type=Span(),
    help="Save and end within this time, e.g. 11h30m; 'none' for no limit.  [default: that of SLURM, Colab, Kaggle]",
)
@click.option("--stop-file", metavar="FILE", default="", help="Save and end when this file appears.")
@click.option(
    "--hang-after", type=Span(), help="Restart after this time without a safe point.  [default: by what is usual]"
)
@click.option("--fresh", is_flag=True, help="Start over; the old job folder is set aside.")
@click.option("--accept-changes", is_flag=True, help="Go on although arguments or script have changed.")
@click.option("--allow-partial", is_flag=True, help="Go on although some objects can't be saved.")
@click.option("--ignore", metavar="NAME", multiple=True, help="Don't save this variable. May be repeated.")
@click.option("--keep", default=3, show_default=True, help="Keep so many of the newest checkpoints.")
@click.option(
    "--keep-hourly", default=24, show_default=True, help="Keep the newest of each of so many hours too."
)
@click.option(
    "--keep-best",
    metavar="MIN|MAX:METRIC",
    multiple=True,
    help="Keep the best too, by a metric given to survivor.report: min:val_loss. May be repeated.",
)
@click.option(
    "--carry", metavar="PATTERN", multiple=True, help="Carry files of any size that the script writes. Repeatable."
)
@click.option("--no-carry", is_flag=True, help="Carry no files that the script writes.")
@click.option("--max-restarts", default=3, show_default=True, help="Restarts in a row without progress.")
@click.option(
    "--on-drift",
    type=click.Choice(["warn", "error", "ignore"]),
    default="warn",
    show_default=True,
    help="What to do when the environment has changed since the last session.",
)
@click.option("--deterministic", is_flag=True, help="Let torch use only deterministic algorithms (slower).")
@click.option("--wait", is_flag=True, help="Wait while another session runs the job.")
@click.option("--take-over", is_flag=True, help="Take the job from a session that still runs it.")
@click.option("--events", type=click.Path(path_type=Path, dir_okay=False), help="Add events as JSON lines.")
@click.option(
    "--check-resume",
    type=click.IntRange(1),
    metavar="N",
    help="Restore every N-th checkpoint in a second process, and compare a step.",
)
@click.option("--quiet", is_flag=True, help="Print only warnings and errors.")
@click.argument("script_and_args", metavar="SCRIPT [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(module: str | None, script_and_args: tuple[str, ...], job: str | None, **options: Any) -> None:
    """Run SCRIPT so that it survives being killed: run the same command again and it continues.

    Everything after SCRIPT is the script's own.
    """
    if module is None and not script_and_args:
        raise click.UsageError("no SCRIPT: say 'survivor run train.py' or 'survivor run -m package.module'")
    from survivor.supervisor.options import RunOptions, job_name_of
    from survivor.supervisor.run import run_job

    check_every = options.pop("check_resume")
    kind, target = ("module", module) if module else ("script", script_and_args[0])
    assert target is not None
    settings = RunOptions(
        kind=kind,  # type: ignore[arg-type]  # one of two literals
        target=target,
        args=script_and_args if module else script_and_args[1:],
        job=job or job_name_of(kind, target),  # type: ignore[arg-type]
        command=_command_to_go_on(sys.argv, target),
        every_s=options.pop("every"),
        grace_s=options.pop("grace"),
        time_limit_s=options.pop("time_limit"),
        hang_after_s=options.pop("hang_after"),
        **options,
    )
    if check_every is None:
        sys.exit(run_job(settings))
    from survivor.proof.live import LiveCheck
    from survivor.supervisor.console import Console

    with LiveCheck(settings, check_every, Console(quiet=settings.quiet)) as check:
        code = run_job(settings, check.hook)
    sys.exit(code)


def _command_to_go_on(argv: list[str], target: str) -> str:
    """This command line without the options that are meant for one time only."""
    name = "python -m survivor" if argv[0].endswith("__main__.py") else "survivor"
    end = argv.index(target) if target in argv else len(argv)
    words = [word for word in argv[1:end] if word not in ("--fresh", "--accept-changes", "--take-over")]
    return f"{name} {shlex.join([*words, *argv[end:]])}"
