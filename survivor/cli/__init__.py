"""The ``survivor`` command. A subcommand is a module of this package, imported when its name is typed.

``survivor --help`` shows each command's first line without importing it, so that it stays fast; a
command whose module is not installed is not listed.
"""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys

import click

import survivor
from survivor.errors import SurvivorError

#: Name and what ``--help`` says of it, in the order in which they are shown.
COMMANDS = {
    "run": "Run a training script so that it survives being killed.",
    "status": "Show the jobs of a store and how far they are.",
    "log": "Print what a job has printed, as one text over all its sessions.",
    "resume": "Go on with a job from nothing but its folder.",
    "inspect": "Show what a job's checkpoints hold.",
    "check": "Read every byte of a job and say whether it is good.",
    "prune": "Remove old checkpoints.",
    "export": "Write a checkpoint's tensors to ordinary files.",
    "explain": "Show what survivor would do with a script, without running it.",
    "verify": "Prove that a script resumes exactly, or find the first place where it does not.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands that are installed, in the order of ``COMMANDS``."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"survivor.cli.{name}") is not None]

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if name not in COMMANDS or importlib.util.find_spec(f"survivor.cli.{name}") is None:
            return None
        command = importlib.import_module(f"survivor.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'survivor COMMAND --help' tells more. "
    "Exit codes: 0 finished; 75 saved, run the same command again.",
)
@click.version_option(survivor.__version__, prog_name="survivor", message="%(prog)s %(version)s")
def cli() -> None:
    """Kill a PyTorch training job, run it again, get the same bits."""


def main() -> None:
    """Entry of the ``survivor`` command; turns survivor's errors into a message and their exit code."""
    # until a session hears it by itself, Ctrl-C is an ordinary death: nothing was begun, nothing need be said
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        cli(prog_name="survivor")
    except SurvivorError as error:
        from survivor.supervisor.console import Console

        Console().error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)  # before anything was begun
