"""Starting what a proof compares: the plain script, and sessions of it under survivor, both traced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from survivor.errors import EXIT_SAVED
from survivor.proof.trace import Trace
from survivor.proof.workplace import Large, Workplace

_PRELOAD = str(Path(__file__).parent / "preload")
#: What a traced process is told, see `survivor.proof.tracing`; each run changes some of it.
_PLAN: dict[str, Any] = {
    "role": "child",
    "controls": False,
    "survivor": str(Path(__file__).parent.parent.parent),
    "preload": _PRELOAD,
    "seed": None,
    "steps": None,
    "sample": 1,
    "closely": None,
    "dump": 0,
    "dump_checkpoint": False,
    "until": 0,
    "lines": None,
    "strike": None,
    "blow": None,
    "evals": False,
    "read_only": [],
    "fence": None,
    "live": None,
    "places": {},
}
Role = Literal["plain", "child"]
_HOME = Path(__file__).parent.parent.parent
#: Sessions after the first begin with other random seeds than the first, so that what isn't put back shows.
_OTHER_SEED = 1000
_START = (
    # a program that a shell starts in the background ignores SIGINT, and so would survivor
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    f"import sys; sys.path[0] = {str(_HOME)!r}; sys.argv[0] = 'survivor'; from survivor.cli import main; main()"
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is run.

    Attributes:
        words: the script and its arguments, as typed; the script's path is below ``folder`` or absolute.
        folder: the working folder, which each run gets a copy of.
        seed: for the random streams of processes that seed nothing, and for hashes; ``None`` leaves both alone.
        threads: for OpenMP and MKL; ``None`` leaves them alone.
        steps: optimizer steps after which a run is over; ``None`` for all.
        run_options: further options of ``survivor run``.
        driver: the words are those of a driver that starts a pickled function, see `survivor.testing`.
        roots: folders whose modules are the user's own; the script's by default.
        source: file to look for causes in; the script by default.
        name: what is verified, for people; the words by default.
        job: name of the interrupted runs' jobs.
        everywhere: checkpoints are made at every safe point, and not only where a run is killed.
        fenced: a run under survivor writes no file outside of its own folder.
    """

    words: tuple[str, ...]
    folder: Path
    seed: int | None = None
    threads: int | None = None
    steps: int | None = None
    run_options: tuple[str, ...] = ()
    driver: bool = False
    roots: tuple[str, ...] = ()
    name: str = ""
    source: Path | None = None
    job: str = "verify"
    everywhere: bool = False
    fenced: bool = False

    @property
    def sources(self) -> tuple[Path, Path]:
        """A folder and a script in it, to look for causes in."""
        script = self.source or self.folder / self.words[0]
        return script.parent, script


@dataclass(frozen=True)
class Kill:
    """The end of a session: the signal, and the event of the plain run after which the next safe point is taken.

    Attributes:
        why: this place was chosen.
        target: ``"trainer"``, ``"supervisor"`` or ``"all"`` is struck right after the event, wherever safe points are;
            "" chooses by the signal, at the safe point.
        evals: calls of ``model.eval()`` after the event that a target is struck at, if not at the event itself.
    """

    event: int
    signal: signal.Signals
    why: str = ""
    target: str = ""
    evals: int = 0

    @property
    def codes(self) -> tuple[int, ...]:
        """The exit codes of a session that ends so; none if survivor may choose it."""
        if self.target == "trainer":
            return ()
        return (-signal.SIGKILL,) if self.signal == signal.SIGKILL else (EXIT_SAVED,)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a traced process is asked for beside its trace.

    Attributes:
        sample: state is walked at about one of so many steps; at none, and at no checkpoint, if 0.
        closely: event after which state is walked at each; ``None`` for none.
        dump: event whose values are kept; 0 for none.
        dump_checkpoint: keep the values at checkpoints and restores.
        until: event after which the process ends; 0 for none.
        until_step: the same for an optimizer step.
        lines: event after which lines are watched for draws; ``None`` for none.
        evals: calls of ``model.eval()`` are noted.
    """

    sample: int = 1
    closely: int | None = None
    dump: int = 0
    dump_checkpoint: bool = False
    until: int = 0
    until_step: int = 0
    lines: int | None = None
    evals: bool = False


@dataclass
class Session:
    """A process that has ended."""

    code: int
    out: str
    err: str
    trace: Trace
    kill: Kill | None = None


@dataclass
class Job:
    """An interrupted run: its sessions, and where its checkpoints stand in the count of events.

    Attributes:
        number: from 1.
        kills: the ends of its sessions; the last session has none.
    """

    number: int
    kills: tuple[Kill, ...]
    place: Workplace
    sessions: list[Session] = field(default_factory=list)
    places: dict[str, tuple[int, int]] = field(default_factory=lambda: {"0": (0, 0)})


class Runner:
    """Starts processes, and ends what is left of them.

    Args:
        target: what is run.
        scratch: a folder for the runs.
        patience_s: how long a process may take; ``None`` for ever.
    """

    def __init__(self, target: Target, scratch: Path, patience_s: float | None = None) -> None:
        self.target = target
        self._patience_s = patience_s
        self._scratch = scratch
        self._count = 0
        self.large = Large(scratch / "large")
        self._lock = threading.Lock()
        self._running: set[int] = set()

    def place(self, name: str) -> Workplace:
        """A fresh working folder."""
        with self._lock:
            self._count += 1
            number = self._count
        return Workplace.make(self._scratch / f"{number:03}-{name}", self.target.folder, self.large)

    def plain(self, name: str, asked: Asked) -> tuple[Session, Workplace]:
        """The plain script, left alone."""
        place = self.place(name)
        words = [sys.executable, *self.target.words, *(["plain"] if self.target.driver else [])]
        return self._start(place, words, "plain", 0, asked), place

    def session(self, job: Job, kill: Kill | None, asked: Asked) -> Session:
        """The next session of an interrupted run.

        Raises:
            subprocess.TimeoutExpired: it hangs.
        """
        target = self.target
        number = len(job.sessions) + 1
        store, events = job.place.root / "store", job.place.root / f"events{number}"
        if target.driver:
            words = [sys.executable, *target.words, "survive", str(store), str(events)]
        else:
            options = ["--store", str(store), "--job", target.job, "--every", "0", "--max-restarts", "0"]
            options += ["--events", str(events), *target.run_options]
            words = [sys.executable, "-c", _START, "run", *options, *target.words]
        more: dict[str, Any] = {"events": str(events), "places": job.places}
        if kill is not None:
            order = {"event": kill.event, "signal": int(kill.signal), "target": kill.target, "evals": kill.evals}
            more["blow" if kill.target else "strike"] = order
        more |= {"controls": not target.everywhere, "fence": str(job.place.root) if target.fenced else None}
        session = self._start(job.place, words, "child", number, asked, **more)
        session.kill = kill
        job.sessions.append(session)
        job.places |= session.trace.places
        return session

    def _start(
        self, place: Workplace, words: list[str], role: Role, number: int, asked: Asked, **more: Any
    ) -> Session:
        target = self.target
        seed = target.seed
        if seed is not None and number > 1:
            seed = (seed + _OTHER_SEED * number) % 2**32
        script = place.work / target.words[0]
        plan = _PLAN | {
            "role": role,
            "trace": str(place.root / f"trace{number}"),
            "home": os.path.realpath(place.work),
            "roots": [*target.roots] if target.roots else [str(script.resolve().parent)],
            "seed": seed,
            "steps": asked.until_step or target.steps,
            "sample": asked.sample,
            "closely": asked.closely,
            "dump": asked.dump,
            "dump_checkpoint": asked.dump_checkpoint,
            "until": asked.until,
            "lines": asked.lines,
            "evals": asked.evals,
            "read_only": sorted(self.large.originals),
            **more,
        }
        plan_file = place.root / f"plan{number}.json"
        plan_file.write_text(json.dumps(plan))
        code = self._run(words, place, number, self._environment(plan_file, seed))
        trace = Trace.read(Path(str(plan["trace"])))
        out, err = ((place.root / f"{name}{number}").read_bytes().decode(errors="replace") for name in ("out", "err"))
        return Session(code, out, err, trace)

    def _environment(self, plan_file: Path, seed: int | None) -> dict[str, str]:
        search = [_PRELOAD, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(search),
            "SURVIVOR_PROOF_PLAN": str(plan_file),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment.pop("SURVIVOR_STORE", None)
        if seed is not None:
            environment["PYTHONHASHSEED"] = str(seed)
        if self.target.threads is not None:
            environment |= {"OMP_NUM_THREADS": str(self.target.threads), "MKL_NUM_THREADS": str(self.target.threads)}
        return environment

    def _run(self, words: list[str], place: Workplace, number: int, environment: dict[str, str]) -> int:
        with (place.root / f"out{number}").open("wb") as out, (place.root / f"err{number}").open("wb") as err:
            process = subprocess.Popen(
                words,
                cwd=place.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            self._running.add(process.pid)
            try:
                return process.wait(self._patience_s)
            finally:
                _end_group(process.pid)
                process.wait()
                self._running.discard(process.pid)

    def end_all(self) -> None:
        """End what still runs: the proof was given up. Children of supervisors end with them."""
        for pid in list(self._running):
            _end_group(pid)


def threads_side_by_side(jobs: int) -> int | None:
    """The threads of each of so many runs at once, its share of the cores; as they are, for one at a time."""
    return max(1, len(os.sched_getaffinity(0)) // jobs) if jobs > 1 else None


def live_plan(target: Target, scratch: Path, every: int) -> dict[str, str]:
    """Environment variables with which a job's own training process notes what it does around its checkpoints."""
    script = target.folder / target.words[0]
    plan = _PLAN | {
        "trace": str(scratch / "trace"),
        "home": os.path.realpath(target.folder),
        "roots": [str(script.resolve().parent)],
        "live": every,
    }
    plan_file = scratch / "plan.json"
    plan_file.write_text(json.dumps(plan))
    search = [_PRELOAD, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"SURVIVOR_PROOF_PLAN": str(plan_file), "PYTHONPATH": os.pathsep.join(search)}


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
