"""Who takes part in a comparison of whole jobs, and how each is started."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from measure import environment, has

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Contestant:
    """A way to run the recipe.

    Attributes:
        name: in tables.
        program: file in ``peers/``.
        package: what has to be installed for it; "" for nothing.
        launcher: words between python and the program.
        tunable: whether ``--every`` says how often it saves.
    """

    name: str
    program: str
    package: str = ""
    launcher: tuple[str, ...] = ()
    tunable: bool = True

    def command(self, size: list[str], *options: str) -> list[str]:
        """Words that start it."""
        return [sys.executable, *self.launcher, *options, str(PEERS / self.program), *size]


SURVIVOR = ("-m", "survivor", "run")
PLAIN = Contestant("plain python", "plain.py", tunable=False)
OURS = Contestant("survivor run", "plain.py", "survivor", SURVIVOR, tunable=False)
BY_HAND = Contestant("torch.save by hand, each epoch", "by_hand.py", tunable=False)
TOOLS = (
    Contestant("Accelerate", "accelerate_job.py", "accelerate"),
    Contestant("Lightning", "lightning_job.py", "lightning"),
    Contestant("ravex", "ravex_job.py", "ravex"),
)
RAY = Contestant("Ray Train", "ray_job.py", "ray")


def present(*contestants: Contestant) -> list[Contestant]:
    """Those whose package is installed."""
    return [one for one in contestants if not one.package or has(one.package)]


def start(command: list[str], folder: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start a program in a group of its own, its output into a file."""
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def power_cut(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all processes of a run, whatever their groups: first all stand still, so that none can act on it."""
    top = psutil.Process(process.pid)
    top.suspend()
    family = [top, *top.children(recursive=True)]
    for member in (*family[1:], *family):
        try:
            member.suspend()
        except psutil.NoSuchProcess:
            continue
    for member in {*family, *top.children(recursive=True)}:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
