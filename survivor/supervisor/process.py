"""The child as a process: start it out of reach of our own signals, hear it, end all that is left of it.

The child gets a session of its own, so that Ctrl-C, a closed terminal and ``kill -- -GROUP`` reach the
supervisor alone. A process group in our session would be a *background* group: reading the terminal
would stop it. In another session the kernel makes no such check, so ``input()`` works, ``isatty()`` is
true and the size of the window can be asked; only ``/dev/tty`` can't be opened (``getpass`` then uses
stdin by itself). What signals reach the child all the same (SLURM, a container's end) its shield takes,
and until the shield is up they are blocked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from io import FileIO
from pathlib import Path

from survivor.channel import Start
from survivor.supervisor.peer import Peer

_ENTRY = Path(__file__).parent.parent / "training" / "__main__.py"


def interpreter_flags() -> list[str]:
    """The options that this interpreter was started with, so that the child's ``sys.flags`` are equal."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    stdout = sys.__stdout__
    if stdout is not None and isinstance(getattr(stdout, "buffer", None), FileIO):
        flags.append("-u")  # left no trace in sys.flags
    return flags


class Child(Peer):
    """A running child process and our end of its channel."""

    def __init__(self, start: Start, *, hash_seed: str, fds: tuple[int, ...] = ()) -> None:
        """Start it; ``fds`` are handed on beside the channel."""
        command = [sys.executable, *interpreter_flags(), str(_ENTRY)]
        super().__init__(command, fds=fds, env={**os.environ, "PYTHONHASHSEED": hash_seed})
        self.send(replace(start, unblock=self.unblock))
