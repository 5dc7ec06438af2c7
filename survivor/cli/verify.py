"""``survivor verify``: parse the command line, run a proof, print its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from survivor.cli.run import RunCommand

_SIGNALS = ("term", "kill", "int", "hup", "usr1")


class SignalNames(click.ParamType[tuple[str, ...]]):
    """Names of signals with commas between them: ``term,kill``."""

    name = "signals"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, checked."""
        names = tuple(name.strip().lower() for name in str(value).split(","))
        wrong = [name for name in names if name not in _SIGNALS]
        if wrong:
            self.fail(f"{wrong[0]!r} is none of {', '.join(_SIGNALS)}", param, ctx)
        return names


@click.command(name="verify", cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option("--steps", type=click.IntRange(1), help="Verify only so many optimizer steps from the start.")
@click.option("--kills", type=click.IntRange(1), default=6, show_default=True, help="How often it is killed, in all.")
@click.option("--kill", "signals", type=SignalNames(), default="term,kill", show_default=True, help="Signals, in turn.")
@click.option("--at", type=click.IntRange(1), multiple=True, metavar="STEP", help="Kill after this step. Repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs side by side.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed what the script leaves unseeded, and hashes.")
@click.option("--sample", type=click.IntRange(1), default=1, show_default=True, help="Walk the state at 1 of N steps.")
@click.option("--threads", type=click.IntRange(1), help="Threads of each run.  [default: as they are; cores/jobs]")
@click.option("--proof", type=click.Path(path_type=Path, dir_okay=False), default=Path("proof.json"), show_default=True)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the runs in this folder.")
@click.option("--allow-partial", is_flag=True, help="As for 'survivor run'.")
@click.option("--ignore", metavar="NAME", multiple=True, help="As for 'survivor run'.")
@click.argument("script_and_args", metavar="SCRIPT [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(script_and_args: tuple[str, ...], **options: Any) -> None:
    """Prove that SCRIPT resumes exactly, or find the first place where it does not.

    The plain script is run twice; then it is run under survivor, killed by real signals and continued in fresh
    processes, and all that it does is compared. Each run gets a copy of the working folder.

    Exit codes: 0 it resumes exactly, and proof.json says so; 10 it doesn't; 11 two plain runs differ already;
    12 it could not be verified; 5 survivor refuses the script.
    """
    if not script_and_args:
        raise click.UsageError("no SCRIPT: say 'survivor verify train.py'")
    from signal import Signals

    from survivor.proof.document import write_proof
    from survivor.proof.runs import Target, threads_side_by_side
    from survivor.proof.verify import Options, Proof
    from survivor.supervisor.console import Console
    from survivor.supervisor.run import check_script

    check_script(script_and_args[0])
    if not options["proof"].absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {options['proof'].absolute().parent} for --proof")
    more = ["--allow-partial"] if options["allow_partial"] else []
    target = Target(
        words=script_and_args,
        folder=Path.cwd(),
        seed=options["seed"],
        threads=options["threads"] or threads_side_by_side(options["jobs"]),
        steps=options["steps"],
        run_options=(*more, *(word for name in options["ignore"] for word in ("--ignore", name))),
    )
    settings = Options(
        kills=options["kills"],
        signals=tuple(Signals[f"SIG{name.upper()}"] for name in options["signals"]),
        at=options["at"],
        jobs=options["jobs"],
        seed=options["seed"] or 0,
        sample=options["sample"],
        keep=options["keep"],
    )
    console = Console()
    report = Proof(target, settings, lambda line: console.say(f"verify: {line}")).run()
    click.echo(report.text())
    if report.is_exact:
        write_proof(options["proof"], report, target, settings)
        click.echo(f"  {options['proof']} says so")
    elif options["proof"].exists():
        click.echo(f"  {options['proof']} is of an earlier run, and says nothing of this one")
    sys.exit(report.exit_code)
