"""Twin runs: a script alone, and the same script under survivor, killed and run again; everything must be equal.

The engine is that of ``survivor verify`` (`survivor.proof`): its tracer tells what each process did, and its
comparison finds the first difference. Here kills strike at exact places (the n-th step, in the middle of a loop's
body), while checkpoints are made at every safe point. Every session under survivor starts from other random seeds and
another hash seed than the first, so that an unseeded script comes out equal only if survivor brings back what the
first session began with.

``python tests/twin.py SCRIPT`` runs a script alone, twice, says whether the two are equal, and lists its events.
``python tests/twin.py SCRIPT S3 "S7 TERM"`` is a twin run by hand. ``TWIN_WALK=1`` compares the script's variables
too, after each event and restore; ``TWIN_KEEP=1`` keeps the folders.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals

import pytest

from survivor.checkpoint.repository import Repository
from survivor.proof import compare
from survivor.proof.printed import Files, Printed
from survivor.proof.report import Report
from survivor.proof.runs import Asked, Job, Kill, Runner, Session, Target
from survivor.proof.verify import Check
from survivor.report.output import job_output
from survivor.supervisor.options import job_name_of

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
PATIENCE_S = 400.0
#: Steps that a session may do again after a kill, with a checkpoint at every safe point: the step that was
#: under way, and one whose safe point was not taken.
REDONE_STEPS = 6  # each loop is observed for some iterations before graphs that are alive at its head are trusted
#: A session that was killed this early had yet to learn which loops train and which graphs are used again.
LEARNING_STEPS = 5
ASKED = Asked(sample=int(os.environ.get("TWIN_WALK", "0")), evals=True)


class Place:
    """Fresh folders for runs of a script, each of which gets a copy of it.

    Args:
        script: name of a file in ``scripts``, or of a folder there whose ``main.py`` is run, wherever it stands.
        args: of the script.
        after: a place where the job has run before, on another machine.
        options: further options of ``survivor run``.
    """

    def __init__(self, script, args=(), *, after=None, options=()):
        self.root = Path(tempfile.mkdtemp(prefix="twin-"))
        given = self.root / "given"
        source = SCRIPTS / script
        if source.is_dir():
            shutil.copytree(source, given, ignore=shutil.ignore_patterns("__pycache__"))
            self.script = next(str(each.relative_to(given)) for each in given.rglob("main.py"))
        else:
            given.mkdir()
            shutil.copy(source, given)
            self.script = source.name
        name = job_name_of("script", self.script)
        self.target = Target(
            words=(self.script, *args), folder=given, seed=1, threads=1, job=name, everywhere=True, run_options=options
        )
        self.runner = Runner(self.target, self.root, PATIENCE_S)
        self.job = Job(1, (), self.runner.place("twin"))
        if after is not None:  # seeds go on being others, and where checkpoints stand is known
            self.job.sessions, self.job.places = after.job.sessions, after.job.places
        self.work, self.store = self.job.place.work, self.job.place.root / "store"

    def alone(self):
        """The plain script: its session, and its folder."""
        return self._patient(lambda: self.runner.plain("plain", ASKED))

    def survive(self, kill=None):
        """The next session under survivor."""
        return self._patient(lambda: self.runner.session(self.job, kill, ASKED))

    def _patient(self, run):
        try:
            return run()
        except subprocess.TimeoutExpired:
            texts = [f"{path.name}:\n{path.read_text()[-3000:]}" for path in sorted(self.root.glob("*/*[0-9]")) if path.is_file()]
            raise AssertionError("a session hangs\n" + "\n".join(texts)) from None

    def log(self):
        """The job's transcript."""
        return job_output(Repository.open(str(self.store), self.target.job))

    def remove(self):
        self.runner.end_all()
        if not os.environ.get("TWIN_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)


@dataclass(frozen=True)
class Plain:
    """What the script alone has done."""

    session: Session
    reference: compare.Reference
    printed: Printed
    files: Files
    home: Path

    @property
    def out(self):
        return self.session.out

    def number(self, place):
        """The number of the event, and calls of ``eval()`` after it, of ``S12``, ``B3`` or ``E1``."""
        kind, number = place[0], int(place[1:])
        if kind != "E":
            found = [event.index for event in self.reference.events if event.kind == kind]
            assert len(found) >= number, f"the plain run has only {len(found)} events {kind}"
            return found[number - 1], 0
        evals = self.session.trace.evals
        assert len(evals) >= number, f"the plain run calls eval() only {len(evals)} times"
        event = evals[number - 1]
        return event, evals[:number].count(event)

    def kill(self, text):
        """Where and how a session ends: ``"S12"``, ``"B3 TERM"``, ``"E1 KILL all"``.

        The place is counted in the run of the plain script: the n-th step of an optimizer, the n-th backward pass,
        the n-th call of ``model.eval()``. It ends by SIGKILL of the trainer unless the text says otherwise; TERM
        and INT go to the supervisor, as a scheduler would send them.
        """
        place, *rest = text.split()
        number = Signals[f"SIG{rest[0]}"] if rest else SIGKILL
        target = rest[1] if len(rest) > 1 else "trainer" if number == SIGKILL else "supervisor"
        event, evals = self.number(place)
        return Kill(event, number, text, target, evals)


@functools.cache
def plain_run(script, args=()):
    """The script alone; once per test process."""
    place = Place(script, args)
    try:
        session, workplace = place.alone()
        assert session.code == 0, f"the plain script {script} failed:\n{session.err}"
        assert any(event.kind in "SBG" for event in session.trace.events), f"the plain script {script} trains nothing"
        printed, files = Printed.learn(session.out, session.out), Files.learn(workplace, workplace)
        return Plain(session, compare.Reference(session.trace), printed, files, workplace.work)
    finally:
        place.remove()


def twin(script, *kills, args=(), redone=REDONE_STEPS):
    """Run ``script`` under survivor, end it at each of ``kills`` in turn, run it to its end, and compare.

    Args:
        script: as `Place` takes it.
        kills: texts as `Plain.kill` describes them, in the order of their places.
        args: of the script.
        redone: steps (backward passes, if it has no optimizer) that a session may do again at most.

    Raises:
        AssertionError: says what differs first.
    """
    plain = plain_run(script, tuple(args))
    place = Place(script, tuple(args))
    try:
        Twin(plain, place, redone).run([plain.kill(text) for text in kills])
    finally:
        place.remove()


class Twin:
    """A job at a place, compared with the plain run session by session."""

    def __init__(self, plain, place, redone=REDONE_STEPS):
        self.plain, self.place, self.redone = plain, place, redone
        self.check = Check(plain.reference, plain.printed, plain.home, place.job)
        self.reached = 0  # the last event that some session has come to
        self.before = 0  # steps that the session before has done

    def run(self, kills):
        for kill in [*kills, None]:
            if self.session(kill).code == 0:
                break
        self.ended()

    def session(self, kill):
        """One session, and what it did is a part of the plain run."""
        session = self.place.survive(kill)
        self.compared(session)
        return session

    def compared(self, session):
        """A session did what is a part of the plain run."""
        self._want(self.check.session(session), session)
        begin = session.trace.begin
        kind = "S" if any(event.kind == "S" for event in self.plain.reference.events) else "B"
        redone = sum(event.kind == kind for event in self.plain.reference.events[begin : self.reached])
        allowed = max(self.redone, LEARNING_STEPS if self.before <= LEARNING_STEPS else 0)
        if redone > allowed:
            self._fail(f"it did {redone} steps again, {allowed} were allowed", session)
        self.before = sum(event.kind == kind for event in session.trace.events)
        self.reached = max([self.reached, *(event.index for event in session.trace.events)])

    def ended(self):
        """The job has come to its end: its random streams, output, files and log are the plain run's."""
        session = self.place.job.sessions[-1]
        self._want(self.check.end(session, self.plain.files, cut=False), session)
        logged = self.place.log()
        data = b"".join(logged.parts)
        if not (logged.ended and data == self.plain.out.encode()):
            text = data.decode(errors="replace")
            self._fail(f"the job's transcript differs:\n{text[-3000:]}", session)

    def _want(self, different, session):
        if different is not None:
            self._fail(Report(self.place.script, "differs", different).text(), session)

    def _fail(self, what, session):
        number = self.place.job.sessions.index(session) + 1
        raise AssertionError(
            f"session {number}: {what}\n--- its exit code: {session.code}\n--- its output:\n{session.out[-1500:]}"
            f"\n--- its stderr:\n{session.err[-3000:]}\n--- plain output:\n{self.plain.out[-1500:]}"
        )


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


def _by_hand(script, *kills):
    if kills:
        twin(script, *kills, redone=int(os.environ.get("TWIN_REDONE", REDONE_STEPS)))
        print("equal")
        return
    first = plain_run(script)
    plain_run.cache_clear()
    second = plain_run(script)
    different, masked = compare.by_itself(first.session.trace, second.session.trace)
    report = Report(script, "by itself", different).text() if different else f"equal, but for {sorted(masked)}"
    print(report)
    for what in ("out", "files"):
        print(f"{what} equal: {getattr(first, what) == getattr(second, what)}")
    kinds = "".join(event.kind for event in first.reference.events)
    counts = {kind: kinds.count(kind) for kind in "SBDG"} | {"E": len(first.session.trace.evals)}
    print(counts, "files:", sorted(first.files.contents))
    print("order:", kinds[:300])
    print(first.out[-800:])


if __name__ == "__main__":
    _by_hand(*sys.argv[1:])
