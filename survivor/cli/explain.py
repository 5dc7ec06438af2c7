"""``survivor explain``: show the plan for a script, in a process of its own (which loads torch; this one does not)."""

from __future__ import annotations

import subprocess
import sys

import click

from survivor.cli.run import RunCommand


@click.command(name="explain", cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option("-m", "module", metavar="MODULE", help="Explain a module, as 'python -m' would run it.")
@click.argument("script_and_args", metavar="SCRIPT [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(module: str | None, script_and_args: tuple[str, ...]) -> None:
    """Show what survivor would watch, carry and leave out of SCRIPT.

    The script runs up to its first backward pass, and ends there; nothing is trained or saved.
    """
    if module is None and not script_and_args:
        raise click.UsageError("no SCRIPT: say 'survivor explain train.py'")
    what = ["module", module, *script_and_args] if module else ["script", *script_and_args]
    ended = subprocess.run([sys.executable, "-m", "survivor.training.explain", *what], check=False)
    sys.exit(ended.returncode)
