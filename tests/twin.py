"""Twin runs: a script alone, and the same script under survivor, killed and run again; everything must be equal.

Scripts know nothing of this. An outside trace (``trace/sitecustomize.py``) tells what each process computed;
beside it, what was printed and the files that were written are compared. Every session under survivor starts
from other random seeds and another hash seed than the first, so that an unseeded script comes out equal only if
survivor brings back what the first session began with.

``python tests/twin.py SCRIPT`` runs a script alone, twice, says whether the two are equal, and lists its events.
``python tests/twin.py SCRIPT S3 "S7 TERM"`` is a twin run by hand.
"""

import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIG_DFL, SIGINT, SIGKILL, Signals, signal

import psutil
import pytest

from survivor.checkpoint.repository import Repository
from survivor.report.output import job_output
from survivor.supervisor.options import job_name_of

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
TRACE = HERE / "trace"
PATIENCE_S = 200.0
#: Steps that a session may do again after a kill, with a checkpoint at every safe point: the step that was
#: under way, and one whose safe point was not taken.
REDONE_STEPS = 6  # each loop is observed for some iterations before graphs that are alive at its head are trusted
#: A session that was killed this early had yet to learn which loops train and which graphs are used again.
LEARNING_STEPS = 5
_SAVED = 75


@dataclass(frozen=True)
class Kill:
    """Where and how a session ends: ``"S12"``, ``"B3 TERM"``, ``"E1 KILL all"``.

    The place is counted in the run of the plain script: the n-th step of an optimizer, the n-th backward pass,
    the n-th call of ``model.eval()``. It ends by SIGKILL of the trainer unless the text says otherwise; TERM
    and INT go to the supervisor, as a scheduler would send them.
    """

    kind: str
    number: int
    signal: Signals = SIGKILL
    target: str = "trainer"

    @classmethod
    def parse(cls, text):
        place, *rest = text.split()
        number = Signals[f"SIG{rest[0]}"] if rest else SIGKILL
        target = rest[1] if len(rest) > 1 else "trainer" if number == SIGKILL else "supervisor"
        return cls(place[0], int(place[1:]), number, target)

    def order(self, plain):
        """The kill as the trace understands it: after a line of the plain run, which occurs once in it."""
        places = [i for i, line in enumerate(plain.trace) if line[0] == self.kind]
        assert len(places) >= self.number, f"the plain run has only {len(places)} events {self.kind}"
        index = places[self.number - 1]
        evals = 0
        while index >= 0 and plain.trace[index][0] == "E":
            evals, index = evals + 1, index - 1
        after = plain.trace[index] if index >= 0 else ""
        assert plain.trace.count(after) <= 1, f"{self} is no place of its own: {after} occurs more than once"
        return {"after": after, "evals": evals, "signal": int(self.signal), "target": self.target}


@dataclass
class Session:
    """One process that ran, or one supervised session."""

    code: int
    out: str
    err: str
    trace: list = field(default_factory=list)

    @property
    def events(self):
        return [line for line in self.trace if line[0] in "SB"]

    @property
    def end(self):
        return [line for line in self.trace if line[0] == "R"]


@dataclass
class Plain(Session):
    files: dict = field(default_factory=dict)


class Place:
    """A fresh folder that holds a copy of the script and all that runs write."""

    def __init__(self, script):
        self.root = Path(tempfile.mkdtemp(prefix="twin-"))
        self.work = self.root / "work"
        self.work.mkdir()
        source = SCRIPTS / script
        if source.is_dir():
            shutil.copytree(source, self.work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            self.script = next(str(each.relative_to(self.work)) for each in self.work.rglob("main.py"))
        else:
            shutil.copy(source, self.work)
            self.script = source.name
        self.given = set(self._files())
        self.sessions = 0

    def run(self, launcher, args=(), kill=None):
        self.sessions += 1
        trace = self.root / f"trace{self.sessions}"
        left_out = ("PYTHONHASHSEED", "SURVIVOR_STORE")
        search = [str(TRACE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {k: v for k, v in os.environ.items() if k not in left_out} | {
            "PYTHONPATH": os.pathsep.join(search),
            "PYTHONHASHSEED": str(self.sessions),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TWIN_TRACE": str(trace),
            "TWIN_SEED": str(self.sessions),
            "TWIN_KILL": json.dumps(kill) if kill else "",
        }
        process = subprocess.Popen(
            [*launcher, self.script, *args],
            cwd=self.work,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # ignored, where the tests run in a shell's background; and then survivor ignores it as well
            preexec_fn=lambda: signal(SIGINT, SIG_DFL),
        )
        try:
            # the pipes are at their end when all that were started are gone
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()
            out, err = process.communicate()
            raise AssertionError(f"session {self.sessions} hangs; stdout:\n{out}\nstderr:\n{err}") from None
        lines = trace.read_text().splitlines() if trace.exists() else []
        return Session(process.returncode, out, err, lines)

    def survive(self, args=(), kill=None):
        store = self.root / "store"
        command = [sys.executable, "-m", "survivor", "run", "--store", str(store), "--every", "0"]
        return self.run([*command, "--max-restarts", "0"], args, kill)

    def written(self):
        """Contents by name; a time stamp in a name is written as ``#``."""
        names = [name for name in self._files() if name not in self.given]
        return {re.sub(r"\d{8,}", "#", name): (self.work / name).read_bytes() for name in names}

    def _files(self):
        paths = (p for p in self.work.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return sorted(str(p.relative_to(self.work)) for p in paths)

    def remove(self):
        if not os.environ.get("TWIN_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)


@functools.cache
def plain_run(script, args=()):
    """The script alone; once per test process."""
    place = Place(script)
    try:
        run = place.run([sys.executable], args)
        assert run.code == 0, f"the plain script {script} failed:\n{run.err}"
        assert run.events, f"the plain script {script} trains nothing"
        return Plain(run.code, run.out, run.err, run.trace, place.written())
    finally:
        place.remove()


def twin(script, *kills, args=(), redone=REDONE_STEPS):
    """Run ``script`` under survivor, end it at each of ``kills`` in turn, run it to its end, and compare.

    Args:
        script: name of a file in ``scripts``, or of a folder there whose ``main.py`` is run, wherever it stands.
        kills: texts as `Kill` describes them, in the order of their places.
        args: of the script.
        redone: steps (backward passes, if it has no optimizer) that a session may do again at most.

    Raises:
        AssertionError: says what differs first.
    """
    args = tuple(args)
    plain = plain_run(script, args)
    place = Place(script)
    comparison = Comparison(plain, redone)
    try:
        for kill in map(Kill.parse, kills):
            session = place.survive(args, kill.order(plain))
            comparison.killed(session, kill)
            if session.code == 0:
                break
        else:
            comparison.last(place.survive(args))
        comparison.output()
        comparison.transcript(place)
        comparison.files(place.written())
    finally:
        place.remove()


def twins(script, *, fast, slow="", broken="", **options):
    """Test parameters for one script: a run with a few kills, and one with more of them, marked slow.

    ``fast`` and ``slow`` are the places of the kills, with commas between them. ``broken`` is the reason
    why the script is not exact yet; it stands among the README's limits.
    """
    found = []
    known = [pytest.mark.xfail(reason=broken, strict=False)] if broken else []
    for kills, marks in ((fast, known), (slow, [pytest.mark.slow, *known])):
        places = tuple(place.strip() for place in kills.split(",") if place.strip())
        if places:
            name = f"{Path(script).stem}: {', '.join(places)}"
            found.append(pytest.param((script, places, options), id=name, marks=marks))
    return found


def check(case):
    """Run a case that `twins` made."""
    script, kills, options = case
    twin(script, *kills, **options)


class Comparison:
    """Compares the sessions of a job, as they come, with the plain run."""

    def __init__(self, plain, redone):
        self.plain, self.redone = plain, redone
        self.wanted = plain.events
        self.at = -1  # index of the last event that some session has reached
        self.sessions = []

    # --- sessions -------------------------------------------------------------------------------

    def killed(self, session, kill):
        """A session that was ended by a signal: its events are a part of the plain run's."""
        self.sessions.append(session)
        if self._outran(session, kill):
            return self._ends(session)
        expected = {"trainer": None, "all": -kill.signal, "supervisor": -kill.signal}[kill.target]
        if kill.target == "supervisor" and kill.signal != SIGKILL:
            expected = _SAVED
        self._check_part(session)
        struck = self._index(kill)
        if self.at < struck:
            self._fail(f"it never came to {kill.kind}{kill.number}", session)
        if session.code == 0 or (expected is not None and session.code != expected):
            self._fail(f"ended with {session.code} and not {expected} after {kill}", session)
        return None

    def last(self, session):
        """The session that runs to the end."""
        self.sessions.append(session)
        if session.code != 0:
            self._check_part(session)
            self._fail(f"the last session ended with {session.code}", session)
        self._ends(session)

    def _outran(self, session, kill):
        """Whether the script had no safe point left when it was asked to stop."""
        return session.code == 0 and kill.signal != SIGKILL and self._index(kill) >= len(self.wanted) - 2

    def _ends(self, session):
        events, wanted = session.events, self.wanted
        start = len(wanted) - len(events)
        if events and (start < 0 or wanted[start:] != events):
            self._differs(session)
        self._check_redone(start if events else len(wanted), session)
        self.at = len(wanted) - 1
        if session.end != self.plain.end:
            self._fail("the random number generators stand elsewhere at the end", session)

    def _check_part(self, session):
        events, wanted = session.events, self.wanted
        if not events:
            return
        latest = min(self.at + 1, len(wanted) - len(events))
        starts = [s for s in range(latest + 1) if wanted[s : s + len(events)] == events]
        if not starts:
            self._differs(session)
        self._check_redone(starts[-1], session)
        self.at = max(self.at, starts[-1] + len(events) - 1)

    def _check_redone(self, start, session):
        if start > self.at + 1:
            self._fail(f"it left out events {self.at + 1} to {start - 1}", session)
        kind = "S" if any(line[0] == "S" for line in self.wanted) else "B"
        redone = sum(line[0] == kind for line in self.wanted[start : self.at + 1])
        place = self.sessions.index(session)
        before = self.sessions[place - 1].events if place else []
        early = sum(line[0] == kind for line in before) <= LEARNING_STEPS
        allowed = max(self.redone, LEARNING_STEPS if early else 0)
        if redone > allowed:
            self._fail(f"it did {redone} steps again, {allowed} were allowed", session)

    def _index(self, kill):
        order = kill.order(self.plain)
        return self.wanted.index(order["after"]) if order["after"] else -1

    # --- what was written -----------------------------------------------------------------------

    def output(self):
        """Each session printed a part of what the plain run prints, no line lost, the last one to its end."""
        whole = self.plain.out
        ends = {0}
        for i, session in enumerate(self.sessions):
            part, reach = session.out, max(ends)
            found = {m.start() for m in re.finditer(f"(?={re.escape(part)})", whole)} if part else {reach}
            ends = {start + len(part) for start in found if start <= reach}
            if not ends:
                self._fail(f"session {i + 1} printed what does not go on from character {reach}", session)
        if len(whole) not in ends:
            self._fail("the output of the last session is not the end of the plain run's", self.sessions[-1])

    def transcript(self, place):
        """``survivor log`` has every line once, whatever was printed twice or went with a kill."""
        repository = Repository.open(str(place.root / "store"), job_name_of("script", place.script))
        logged = job_output(repository)
        if not (logged.ended and logged.data == self.plain.out.encode()):
            text = logged.data.decode(errors="replace")
            self._fail(f"the job's transcript differs:\n{text[-3000:]}", self.sessions[-1])

    def files(self, written):
        """The same files, with the same contents but for lines that were written twice."""
        wanted = self.plain.files
        session = self.sessions[-1]
        if sorted(written) != sorted(wanted):
            self._fail(f"files: {sorted(written)}, plain: {sorted(wanted)}", session)
        for name, content in wanted.items():
            if not _same_content(name, content, written[name], len(self.sessions)):
                text = f"{written[name][:1500]!r}\nplain:\n{content[:1500]!r}"
                self._fail(f"{name} differs:\n{text}", session)

    # --- reports --------------------------------------------------------------------------------

    def _differs(self, session):
        events, wanted = session.events, self.wanted
        best, start = 0, None
        for s in range(len(wanted)):
            n = 0
            while n < len(events) and s + n < len(wanted) and wanted[s + n] == events[n]:
                n += 1
            if n >= max(best, 1):
                best, start = n, s
        if start is None:
            known = next((i for i, line in enumerate(events) if line in wanted), None)
            self._fail(
                f"its first event {events[0]} is none of the plain run's; its first known one is number {known}"
                f" of {len(events)}; {self.at + 1} events had been reached",
                session,
            )
        name = self._name(start + best)
        got = events[best] if best < len(events) else "its end"
        want = wanted[start + best] if start + best < len(wanted) else "the end"
        self._fail(
            f"{best} of its {len(events)} events are equal, from {self._name(start)} on"
            f" ({self.at + 1} of {len(wanted)} events had been reached); at {name} comes {got} and not {want}",
            session,
        )

    def _name(self, index):
        if index >= len(self.wanted):
            return "the end"
        kind = self.wanted[index][0]
        return f"{kind}{sum(line[0] == kind for line in self.wanted[: index + 1])}"

    def _fail(self, what, session):
        number = self.sessions.index(session) + 1
        raise AssertionError(
            f"session {number}: {what}\n--- its exit code: {session.code}\n--- its output:\n{session.out[-1500:]}"
            f"\n--- its stderr:\n{session.err[-3000:]}\n--- plain output:\n{self.plain.out[-1500:]}"
        )


def _same_content(name, wanted, written, sessions):
    if wanted == written:
        return True
    if name.endswith((".pt", ".pth", ".pth.tar")):
        return same_objects(wanted, written)
    if name.endswith((".log", ".jsonl", ".csv", ".txt")):
        return _same_lines(wanted.splitlines(), written.splitlines(), sessions - 1)
    return False


def _same_lines(wanted, written, repeats):
    """Whether ``written`` runs through all of ``wanted``, stepping back at most ``repeats`` times."""
    states = {(0, 0)}  # position in wanted, times stepped back
    for line in written:
        jumped = {(p, n + 1) for position, n in states if n < repeats for p in range(position)}
        states = {(p + 1, n) for p, n in states | jumped if p < len(wanted) and wanted[p] == line}
    return any(position == len(wanted) for position, _ in states)


def same_objects(wanted, written):
    import torch

    def same(a, b):
        if isinstance(a, torch.Tensor):
            return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        if isinstance(a, dict):
            return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
        if isinstance(a, (list, tuple)):
            return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and bool(a == b)

    first, second = (torch.load(io.BytesIO(each), weights_only=False) for each in (wanted, written))
    return same(first, second)


def _by_hand(script, *kills):
    if kills:
        twin(script, *kills, redone=int(os.environ.get("TWIN_REDONE", REDONE_STEPS)))
        print("equal")
        return
    first = plain_run(script)
    plain_run.cache_clear()
    second = plain_run(script)
    for what in ("events", "out", "files", "end"):
        print(f"{what} equal: {getattr(first, what) == getattr(second, what)}")
    counts = {kind: sum(line[0] == kind for line in first.trace) for kind in "SBE"}
    print(counts, "files:", sorted(first.files))
    print("order:", "".join(line[0] for line in first.trace)[:300])
    repeated = [line for line in first.events if first.trace.count(line) > 1]
    print("events that occur more than once:", len(repeated))
    print(first.out[-800:])


if __name__ == "__main__":
    _by_hand(*sys.argv[1:])
