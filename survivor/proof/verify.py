"""The proof: two plain runs, then interrupted ones, compared as they come, and a close look at the first difference."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from survivor.errors import NotResumableError, UsageError
from survivor.proof import compare, hints, points, sources
from survivor.proof.closer import Closer
from survivor.proof.compare import Divergence, Reference, stream_key, unused_streams
from survivor.proof.printed import Files, Printed, compare_output, printed_by
from survivor.proof.report import Report, Row
from survivor.proof.runs import Asked, Job, Kill, Runner, Session, Target
from survivor.proof.trace import Mark, State
from survivor.proof.workplace import Workplace
from survivor.supervisor.environment import has_gpu

DEFAULT_KILLS = 6
_NOTHING_PROVED = (
    "nothing was proved: no run could be continued from a checkpoint\n"
    "survivor saves between two iterations of a training loop, and this script has {steps} optimizer steps in all.\n"
    "Verify it with more of them; without a loop, a run that is killed begins anew."
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a script is verified.

    Attributes:
        kills: how many places to kill it at.
        signals: taken in turn.
        at: optimizer steps to kill it after, in place of places that survivor chooses.
        jobs: interrupted runs side by side.
        seed: of the places that are chosen at random.
        sample: state is compared at about one of so many steps.
        keep: folder that the runs are kept in; removed, if ``None``.
    """

    kills: int = DEFAULT_KILLS
    signals: tuple[Signals, ...] = (SIGTERM, SIGKILL)
    at: tuple[int, ...] = ()
    jobs: int = 1
    seed: int = 0
    sample: int = 1
    keep: Path | None = None


@dataclass
class _Plain:
    """What the two plain runs have taught."""

    session: Session
    reference: Reference
    printed: Printed
    files: Files
    home: Path


class Proof:
    """One proof of one script.

    Args:
        target: what is run.
        options: how it is verified.
        say: gets a line for people now and then.
    """

    def __init__(self, target: Target, options: Options, say: Callable[[str], None] = lambda _: None) -> None:
        self._target = target
        self._options = options
        self._say = say
        self._report = Report(target.name or " ".join(target.words))
        self._asked = Asked(sample=options.sample)
        self._lock = threading.Lock()
        self.digests: dict[str, str] = {}

    def run(self) -> Report:
        """Do it.

        Raises:
            UsageError: the folder for the runs holds something already.
        """
        # absolute, since a run's copy of the working folder leaves out where the runs are
        scratch = (self._options.keep or Path(tempfile.mkdtemp(prefix="survivor-verify-"))).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        if any(scratch.iterdir()):
            raise UsageError(f"the folder for the runs, {scratch}, is not empty", advice="name another, or empty it")
        self._runner = Runner(self._target, scratch)
        try:
            self._all()
        finally:
            self._runner.end_all()
            if self._options.keep is None:
                shutil.rmtree(scratch, ignore_errors=True)
        return self._report

    # --- the plain script -----------------------------------------------------------------------

    def _all(self) -> None:
        plain = self._plain()
        if plain is None:
            return
        events = plain.reference.events
        options = self._options
        if options.at:
            kills = points.by_step(events, options.at, options.signals)
        else:
            kills = points.choose(events, options.kills, options.signals, options.seed)
        runs = points.in_runs(kills)
        self._report.numbers["kills"] = len(kills)
        self._say(f"interrupted runs: {len(runs)}, with {len(kills)} kills")
        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(lambda pair: self._interrupted(plain, *pair), enumerate(runs, 1)))
        self._settle(plain, [each for each in found if each is not None])

    def _plain(self) -> _Plain | None:
        self._say("the plain script, twice")
        (first, place), (second, other) = self._two_plain_runs()
        if self._runner.large.settle():
            self._say("the plain script, twice more: it writes to large files that it was given")
            (first, place), (second, other) = self._two_plain_runs()
        for session in (first, second):
            if session.trace.end is None or (session.code != 0 and not session.trace.end.cut):
                what = f"the plain script ended with code {session.code}: only what ends with 0 can be verified"
                self._fail(what, session.err)
                return None
        if not first.trace.events:
            self._fail("the plain script trains nothing: no batch, backward pass or optimizer step was seen", first.err)
            return None
        different, masked = compare.by_itself(first.trace, second.trace)
        if different is not None:
            self._report.outcome, self._report.divergence = "by itself", different
            closer = Closer(self._runner, self._report, self._options.sample)
            closer.two_plain_runs(different)
            self._hint(different, itself=True)
            return None
        return self._learned(first, second, masked, (place, other))

    def _two_plain_runs(self) -> list[tuple[Session, Workplace]]:
        with ThreadPoolExecutor(min(2, self._options.jobs)) as pool:
            pending = [pool.submit(self._runner.plain, f"plain{i}", self._asked) for i in (1, 2)]
            return [each.result() for each in pending]

    def _learned(
        self, first: Session, second: Session, masked: frozenset[str], places: tuple[Workplace, Workplace]
    ) -> _Plain:
        place, other = places
        home = place.work
        output = Printed.learn(first.out, second.out.replace(str(other.work), str(home)))
        files = Files.learn(place, other)
        report = self._report
        idle = {stream_key(name) for name in unused_streams(first.trace)}  # equal across restores, which is enough
        names = sorted({key.partition("|")[2] for key in masked - idle})
        if names:
            report.notes.append(f"not compared, as it differs between two plain runs too: {', '.join(names[:6])}")
        if not output.comparable:
            report.notes.append("printed lines were not compared: two plain runs print differently")
        elif output.left_out:
            report.notes.append(f"{output.left_out} printed lines hold numbers that differ between two plain runs too")
        if files.left_out and self._target.steps is None:
            report.notes.append(f"files not compared: {', '.join(files.left_out[:6])}")
        reference = Reference(first.trace, masked)
        last = reference.events[-1]
        report.numbers |= {"steps": last.steps, "events": len(reference.events), "digests": digests_of(first)}
        return _Plain(first, reference, output, files, home)

    def _fail(self, what: str, err: str) -> None:
        self._report.outcome, self._report.err = "failed", f"{err.rstrip()}\n{what}"

    # --- interrupted runs -----------------------------------------------------------------------

    def _interrupted(self, plain: _Plain, number: int, kills: tuple[Kill, ...]) -> tuple[Job, Divergence] | None:
        """One run; the first difference in it, if any."""
        with self._lock:
            if self._report.divergence is not None:
                return None
        job = Job(number, kills, self._runner.place(f"run{number}"))
        check = Check(plain.reference, plain.printed, plain.home, job)
        for kill in (*kills, None):
            session = self._runner.session(job, kill, self._asked)
            different = check.session(session)
            if different is None and check.finished(session):
                different = check.end(session, plain.files, cut=self._target.steps is not None)
                if different is None:
                    break
            if different is not None:
                with self._lock:
                    self._report.divergence = different
                return job, different
        with self._lock:
            self._report.rows += check.rows
            self._say(f"run {number}: equal")
        return None

    def _settle(self, plain: _Plain, found: list[tuple[Job, Divergence]]) -> None:
        report = self._report
        report.rows.sort(key=lambda row: (row.run, row.step))
        report.numbers["runs"] = len({row.run for row in report.rows})
        lost = report.numbers["kills"] - len(report.rows)
        if lost and not found:
            report.notes.append(f"{lost} kills came too late: no safe point was left before the end")
        if not found:
            if not any(row.position for row in report.rows):
                self._fail(_NOTHING_PROVED.format(steps=report.numbers["steps"]), plain.session.err)
            return
        job, different = min(found, key=lambda pair: (pair[1].index, pair[0].number))
        report.divergence = different
        report.outcome = "refused" if different.stage == "refused" else "differs"
        closer = Closer(self._runner, report, self._options.sample, plain.reference.masked)
        closer.interrupted_run(job, different)
        if different.stage != "refused":
            self._hint(different, itself=False)

    def _hint(self, different: Divergence, *, itself: bool) -> None:
        findings = sources.scan(*self._target.sources)
        self._report.hint, finding = hints.find(different, findings, itself=itself, has_gpu=has_gpu())
        if finding is None and different.stage == "crash":
            self._report.hint = ""  # the error tells by itself
        if finding is not None and finding.key != "nothing-seeded":
            self._report.place = f"{finding.file}:{finding.line}: {finding.text}"


@dataclass
class Check:
    """Compares the sessions of one interrupted run with the plain one."""

    reference: Reference
    printed: Printed
    home: Path
    job: Job
    saved: dict[int, tuple[Mark, State]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def session(self, session: Session) -> Divergence | None:
        """The first difference in a session that has ended."""
        trace = session.trace
        if trace.lost:
            return Divergence("lost", step=trace.lost[0])
        begin, different, leaves = trace.begin, None, 0
        for mark, state in compare.restores(trace):
            leaves = len(state.leaves)
            different = compare.restored(self.saved[mark.step], mark, state) if mark.step in self.saved else None
        if len(self.job.sessions) > 1:
            self._row(leaves, trace.events[-1].index - begin if trace.events else 0, trace.restored)
        if different is None:
            different = self.reference.compare(trace, begin)
        self.saved |= compare.checkpoints(trace)
        if different is None:
            different = self._code(session)
        if different is None:
            text = printed_by(self.job)
            place = self.job.place.work
            different = compare_output(self.printed, text, whole=False, home=self.home, other_home=place)
        return different

    def _row(self, leaves: int, events: int, restore: Mark | None) -> None:
        before = self.job.sessions[-2]
        kill = before.kill
        assert kill is not None
        place = self.saved[restore.step][0] if restore is not None and restore.step in self.saved else None
        position = place.position if place is not None else ""
        steps = restore.steps if restore is not None else 0
        self.rows.append(Row(self.job.number, steps, position, kill.signal, kill.why, leaves, events))

    def _code(self, session: Session) -> Divergence | None:
        """Whether it ended as it should."""
        end = session.trace.end
        if end is not None and (end.cut or session.code == 0):
            return None
        kill = session.kill
        if kill is not None and session.code in (kill.codes or (session.code,)) and self._came_to(session, kill):
            return None
        stage = "refused" if session.code == NotResumableError.exit_code else "crash"
        last = session.err.strip().splitlines()[-8:]
        return Divergence(stage, found=f"exit code {session.code}", detail=last)

    @staticmethod
    def _came_to(session: Session, kill: Kill) -> bool:
        """Whether a session that was to be struck at one exact event did come to it."""
        reached = max((item.index for item in session.trace.items), default=0)
        return not kill.target or reached >= kill.event

    @staticmethod
    def finished(session: Session) -> bool:
        """Whether this was the last session of its run."""
        return session.kill is None or session.code == 0 or (session.trace.end is not None and session.trace.end.cut)

    def end(self, session: Session, files: Files, *, cut: bool) -> Divergence | None:
        """The first difference in what a finished run leaves behind."""
        if session.trace.end is None:
            return Divergence("crash", found="it did not come to its end", detail=session.err.splitlines()[-8:])
        text = printed_by(self.job)
        place = self.job.place.work
        different = compare_output(self.printed, text, whole=True, home=self.home, other_home=place)
        return different or (None if cut else files.compare(self.job.place))


def digests_of(session: Session) -> dict[str, str]:
    """What a plain run came to: digests of its events, of its random streams at the end, and of its output."""
    events = hashlib.sha256("\n".join(f"{e.kind} {e.digest}" for e in session.trace.events).encode())
    end = session.trace.end
    streams = end.streams if end is not None else {}
    steps = [event.digest for event in session.trace.events if event.kind == "S"]
    return {
        "events": events.hexdigest(),
        "last_step": steps[-1] if steps else "",
        "output": hashlib.sha256(session.out.encode()).hexdigest(),
        **{f"stream_{name}": digest for name, digest in streams.items()},
    }
