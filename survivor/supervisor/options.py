"""What the user asked for: one frozen object, made once, checked once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from survivor.channel import TargetKind
from survivor.checkpoint.retention import problems as retention_problems
from survivor.errors import UsageError

OnDrift = Literal["warn", "error", "ignore"]
DEFAULT_STORE = "survivor-jobs"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Settings of one ``survivor run``.

    Attributes:
        kind: what ``target`` is.
        target: path of the script, or dotted name of the module.
        args: the program's own arguments.
        root: folder of the user's own modules, where it is not the script's or the working folder; "" otherwise.
        known_as: the command line that the job was begun with, where this one differs on purpose; () otherwise.
        store: folder or URL of the job folders.
        job: name of the job.
        command: what to type to go on, for messages.
        every_s: seconds between checkpoints; 0 saves at every safe point.
        overhead: share of the run time that snapshots may cost.
        grace_s: seconds from a notice to the end.
        fresh: set the job folder aside and start over.
        accept_changes: go on although the command line or the script has changed.
        allow_partial: go on although some objects can't be carried.
        ignore: names of variables that are not carried.
        keep: so many of the newest checkpoints are kept.
        keep_hourly: the newest of each of so many hours too.
        keep_best: and for each ``min:NAME`` or ``max:NAME`` the one with the best metric reported.
        deterministic: let torch use only deterministic algorithms.
        carry: patterns of files that the script writes, carried with the checkpoints whatever their size.
        no_carry: carry no files with the checkpoints.
        max_restarts: restarts in a row without progress after which the job stops.
        time_limit_s: seconds after which the session has saved and ended; None for the limit of the place, if it has
            one; infinite for none.
        hang_after_s: seconds without a safe point after which the child is restarted; None judges by what was usual.
        stop_file: a file whose appearance ends the session; "" for none.
        on_drift: what to do when the environment has changed.
        wait: wait while another session runs the job.
        take_over: take the job from a session that runs it.
        events: file that gets one JSON line an event; None for none.
        quiet: print only warnings and errors.

    Raises:
        UsageError: with everything that is wrong, at once.
    """

    kind: TargetKind
    target: str
    args: tuple[str, ...] = ()
    root: str = ""
    known_as: tuple[str, ...] = ()
    store: str = DEFAULT_STORE
    job: str
    command: str
    every_s: float = 30.0
    overhead: float = 0.01
    grace_s: float = 30.0
    fresh: bool = False
    accept_changes: bool = False
    allow_partial: bool = False
    ignore: tuple[str, ...] = ()
    keep: int = 3
    keep_hourly: int = 24
    keep_best: tuple[str, ...] = ()
    deterministic: bool = False
    carry: tuple[str, ...] = ()
    no_carry: bool = False
    max_restarts: int = 3
    time_limit_s: float | None = None
    hang_after_s: float | None = None
    stop_file: str = ""
    on_drift: OnDrift = "warn"
    wait: bool = False
    take_over: bool = False
    events: Path | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        """Check everything, then raise once."""
        problems = []
        if self.every_s < 0:
            problems.append(f"--every is {self.every_s:g} s: it can't be negative")
        if not 0 < self.overhead <= 1:
            problems.append(f"--overhead is {self.overhead:.3%}: it lies above 0% and is at most 100%")
        if self.grace_s <= 0:
            problems.append(f"--grace is {self.grace_s:g} s: saving takes more than no time")
        if self.max_restarts < 0:
            problems.append(f"--max-restarts is {self.max_restarts}: it can't be negative")
        if self.time_limit_s is not None and self.time_limit_s <= 0:
            problems.append(f"--time-limit is {self.time_limit_s:g} s: it must be positive")
        if self.hang_after_s is not None and self.hang_after_s <= 0:
            problems.append(f"--hang-after is {self.hang_after_s:g} s: it must be positive")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.job):
            problems.append(
                f"--job is {self.job[:120]!r}: a name has letters, digits, '.', '_' and '-', at most 100"
            )
        problems += retention_problems(self.keep, self.keep_hourly, self.keep_best)
        if problems:
            where = "help(survivor.survivable)" if self.kind == "function" else "survivor run --help"
            raise UsageError("; ".join(problems), advice=where)


def job_name_of(kind: TargetKind, target: str) -> str:
    """The job's name when none is given: the script's stem, the module's or function's last part."""
    name = Path(target).resolve().stem if kind == "script" else target.rpartition(".")[2]
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9._-]+", "-", name).lstrip("-")[:100] or "job"
