"""``survivor run --check-resume``: while a job trains, its checkpoints are restored in a second process and compared.

The training process notes its state at every n-th checkpoint and what it does up to the next optimizer step. A copy of
the job folder is then continued in a copy of the working folder for that one step. What is compared is the state right
after the restore, and the batches, losses, parameters and random streams of the step. The job itself goes on meanwhile.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Container
from pathlib import Path

from survivor.checkpoint.names import JOB, LEASES, SESSIONS
from survivor.checkpoint.reading import manifest_file, pack_file
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, UsageError
from survivor.proof import compare
from survivor.proof.compare import Divergence, Reference
from survivor.proof.report import Report
from survivor.proof.runs import Asked, Job, Runner, Session, Target, live_plan
from survivor.proof.trace import Mark, Trace
from survivor.store import AbsentError, Store, open_store
from survivor.supervisor import events
from survivor.supervisor.console import Console
from survivor.supervisor.options import RunOptions

_PATIENCE_S = 300.0
_POLL_S = 0.05
_PART_BYTES = 64 << 20
#: A checkpoint may be removed while it is copied: then a newer one is.
_COPIES = 3
#: Events after a checkpoint that are compared where no optimizer steps.
WINDOW = 16


class LiveCheck:
    """Checks the checkpoints of one session; a context manager around it.

    Args:
        options: of the session.
        every: every how many checkpoints one is checked.
        console: gets a line for each check.

    Raises:
        UsageError: the job is of a kind that can't be checked so.
    """

    def __init__(self, options: RunOptions, every: int, console: Console) -> None:
        if options.kind != "script":
            raise UsageError("--check-resume works with a script", advice="leave out -m, or --check-resume")
        self._options, self._every, self._console = options, every, console
        self._scratch = Path()
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._environment: dict[str, str | None] = {}
        self.checked = 0
        self.failed = 0

    def __enter__(self) -> LiveCheck:
        """From now on the training process is traced."""
        self._scratch = Path(tempfile.mkdtemp(prefix="survivor-check-"))
        options = self._options
        partial = ("--allow-partial",) if options.allow_partial else ()
        target = Target(
            words=(options.target, *options.args),
            folder=Path.cwd(),
            job=options.job,
            # the script may write beside itself, which is no copy, or to any path that it was given
            fenced=True,
            run_options=("--take-over", "--on-drift", "ignore", "--no-carry", *partial),
        )
        self._runner = Runner(target, self._scratch)
        added = live_plan(target, self._scratch, self._every)
        self._environment = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for a check that is under way, and leave nothing behind."""
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        assert self._runner is not None
        self._runner.end_all()
        for name, value in self._environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(self._scratch, ignore_errors=True)
        if self.checked:
            result = f"{self.failed} of {self.checked} differ" if self.failed else f"{self.checked} equal"
            self._console.say(f"{self._options.job}: checkpoints checked: {result}")

    def hook(self, event: events.Event) -> None:
        """Begin a check, unless one is under way."""
        if not isinstance(event, events.CheckpointSaved) or event.step == 0:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._guarded, args=(event.step,), daemon=True)
            self._thread.start()

    # --- one check ------------------------------------------------------------------------------

    def _guarded(self, step: int) -> None:
        try:
            self._check(step)
        except Exception as error:  # a check that fails must not end the job
            self._console.warn(f"{self._options.job}: a checkpoint could not be checked: {error}")

    def _trace(self) -> Trace:
        return Trace.read(self._scratch / "trace")

    def _marks(self) -> dict[int, Mark]:
        """The checkpoints that were noted, by their steps."""
        return {mark.step: mark for mark in self._trace().marks if mark.kind == "C"}

    def _check(self, step: int) -> None:
        marks = self._marks()
        if step not in marks:
            return  # not the n-th one
        assert self._runner is not None
        place = self._runner.place("check")
        store, target = open_store(self._options.store), open_store(str(place.root / "store"))
        for _ in range(_COPIES):
            copied = _copy_job(store, target, self._options.job, marks)
            if copied is not None:
                break
            marks = self._marks()
        else:
            return
        mark = marks[copied]
        job = Job(1, (), place)
        job.places |= {str(number): (mark.index, mark.steps) for number, mark in marks.items()}
        asked = Asked(until=mark.index + WINDOW, until_step=mark.steps + 1)
        session = self._runner.session(job, None, asked)
        restored = session.trace.restored
        if restored is None or restored.step not in marks:
            self._tell(mark, Divergence("crash", detail=session.err.strip().splitlines()[-8:]))
            return
        self._tell(marks[restored.step], self._compare(session, marks[restored.step]))
        shutil.rmtree(place.root, ignore_errors=True)

    def _compare(self, session: Session, mark: Mark) -> Divergence | None:
        live = self._live_step(mark)
        # the job may have come to its end meanwhile; the check ends after a step
        live.items = [item for item in live.items if not isinstance(item, Mark) or item.kind != "Z"]
        for found, state in compare.restores(session.trace):
            different = compare.restored(compare.checkpoints(live)[found.step], found, state)
            if different is not None:
                return different
        # a time that the step measures is no fault of the restore: what the script holds is compared before it only
        return Reference(live, walks=False).compare(session.trace, mark.index)

    def _live_step(self, mark: Mark) -> Trace:
        """The live run's notes, when it has done the step after the checkpoint."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            trace = self._trace()
            done = [e for e in trace.events if e.index > mark.index]
            if any(e.kind == "S" for e in done) or len(done) >= WINDOW or time.monotonic() > deadline:
                return trace
            time.sleep(_POLL_S)

    def _tell(self, mark: Mark, different: Divergence | None) -> None:
        self.checked += 1
        name = f"{self._options.job}: checkpoint at {mark.position} (step {mark.step})"
        if different is None:
            self._console.say(f"{name}: restored in a second process, and equal for a step")
            return
        self.failed += 1
        self._console.warn(f"{name}: restored in a second process, and NOT equal; survivor verify looks closer")
        report = Report(self._options.target, "differs", different)
        self._console.block("\n".join(report.text().splitlines()[1:]))


def _copy_job(source: Store, target: Store, job: str, steps: Container[int]) -> int | None:
    """Copy what is needed to go on from the newest checkpoint of these steps; ``None`` if it was removed meanwhile."""
    repository = Repository(source, job)
    whole = [info for info in repository.list() if info.good is not False and info.step in steps]
    if not whole:
        return None
    try:
        checkpoint = repository.open_checkpoint(whole[-1].name)
        names = {pack_file(job, ref.pack.stamp) for ref in checkpoint.refs.values()}
        for folder in (JOB, SESSIONS, LEASES):
            names |= {entry.name for entry in source.files(f"{job}/{folder}")}
        for name in sorted(names):
            _copy(source, target, name)
        _copy(source, target, manifest_file(job, checkpoint.info.name))
    except (AbsentError, FormatError):
        return None
    return whole[-1].step


def _copy(source: Store, target: Store, name: str) -> None:
    size = source.size(name)
    parts = (source.get(name, start, min(_PART_BYTES, size - start)) for start in range(0, size, _PART_BYTES))
    target.put(name, parts)
