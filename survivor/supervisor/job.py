"""The job folder as the supervisor sees it: may this command go on with it, and who holds it."""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from survivor.checkpoint import lease
from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.errors import JobChangedError, JobRunningError, StoreError
from survivor.store import absolute
from survivor.supervisor import drift, identity, orphans, sources, spool, wording
from survivor.supervisor.console import Console
from survivor.supervisor.options import RunOptions

_WAIT_POLL_S = 2.0
#: A killed session's child has its grace period; a writer that hangs is not waited for much longer.
_ORPHANS_S, _ORPHANS_POLL_S = 15.0, 0.05


@dataclass(kw_only=True)
class OpenJob:
    """A job that this process holds the lease of.

    Attributes:
        repository: its folder.
        record: what it runs.
        session: this session.
        lease: the right to write.
        environment: variables that a child is given, to compute as before; "" unsets one.
    """

    repository: Repository
    record: JobRecord
    session: SessionRecord
    lease: Lease
    environment: dict[str, str] = field(default_factory=dict)

    def close(self, outcome: str, reason: str, exit_code: int, output: dict[str, object] | None = None) -> None:
        """Record how the session ended and give the lease back.

        Args:
            outcome: the verdict's kind.
            reason: in words.
            exit_code: of the process.
            output: the last of what was printed, as `Transcript.tail` gives it.

        Raises:
            StoreError: the store refused.
        """
        if outcome == "finished" and not self.record.finished:
            self.record = replace(self.record, finished=True)
            self.record.write(self.repository)
        self.session.end(
            self.repository, reason, {"outcome": outcome, "exit_code": exit_code, "output": output or {}}
        )
        self.lease.release()


def open_job(
    options: RunOptions, source: str, console: Console, asked_to_end: Callable[[float], bool]
) -> OpenJob | None:
    """Open or begin the job and take its lease; None if it is finished.

    ``asked_to_end`` waits so many seconds, or until the user wants no more, and says which.

    Raises:
        JobChangedError: the folder holds a job of another command line.
        JobRunningError: another session runs it.
        JobError: the environment has changed and the user wants that to be an error.
        StoreError: the store can't be read or written.
    """
    repository = Repository.open(options.store, options.job)
    _wait_for_holder(options, repository, console, asked_to_end)
    _wait_for_orphans(options, console, asked_to_end)
    if options.fresh and _exists(repository):
        console.say(f"{options.job}: the old job folder is kept as {repository.set_aside()}")
    record = JobRecord.read(repository)
    if record is None:
        record = new_record(options, source)
        record.write(repository)
        console.say(wording.new_job(options, repository.describe()))
    else:
        changed = _check_command(options, record, source, repository, console)
        if record.finished and options.kind != "function":
            console.say(wording.was_finished(options))
            return None
        if changed:
            record = replace(new_record(options, source), hash_seed=record.hash_seed, created=record.created)
            record.write(repository)
    fingerprint, changes = drift.settle(options, repository, console)
    session = SessionRecord.begin(repository, pid=os.getpid(), fingerprint=fingerprint)
    try:
        held = Lease.acquire(
            repository.store, options.job, session=session.number, take_over=options.take_over
        )
    except JobRunningError as error:
        session.end(repository, f"not begun: {error}")
        raise
    _bring_home(options, repository, session.number, held.token, console)
    return OpenJob(repository=repository, record=record, session=session, lease=held, environment=changes)


def _bring_home(
    options: RunOptions, repository: Repository, session: int, token: int, console: Console
) -> None:
    """Take over what an earlier session had to leave on this machine's disk."""
    try:
        store = absolute(options.store)
        position = spool.bring_home(store, repository, session=session, token=token)
    except StoreError as error:
        console.warn(f"{options.job}: a checkpoint on this machine's disk is not in the store yet: {error}")
        return
    if position:
        console.say(f"{repository.job}: brought {position} from this machine's disk to the store")


def new_record(options: RunOptions, source: str) -> JobRecord:
    """The record of a job that begins now."""
    mark = {"script": (), "module": ("-m",), "function": ("@survivable",)}[options.kind]
    return JobRecord(
        argv=options.known_as or (*mark, options.target, *options.args),
        script=os.path.realpath(options.target) if options.kind == "script" else "",
        source=source,
        modules=sources.modules_of(options),
        folder=os.getcwd(),
        hash_seed=choose_hash_seed(os.environ.get("PYTHONHASHSEED", "")),
        python=platform.python_version(),
        created=time.time(),
    )


def choose_hash_seed(value: str) -> int:
    """The seed of every session of a job: the user's, or one drawn now."""
    return int(value) if value.isdecimal() else secrets.randbelow(2**32)


def _exists(repository: Repository) -> bool:
    return repository.job in repository.store.folders("")


def _has_trained(repository: Repository) -> bool:
    return any(info.step > 0 for info in repository.list())


def _wait_for_holder(
    options: RunOptions, repository: Repository, console: Console, asked_to_end: Callable[[float], bool]
) -> None:
    """Raise ``JobRunningError`` while someone holds the job, unless the user waits or takes over."""
    told = False
    while not options.take_over and (holder := lease.live_holder(repository.store, options.job)) is not None:
        if not options.wait:
            raise JobRunningError(
                f"job {options.job!r} is being run by {holder}",
                advice="wait for it with --wait, or take it over with --take-over: it then stops by itself",
            )
        if not told:
            console.say(f"{options.job}: waiting for {holder}")
            told = True
        if asked_to_end(_WAIT_POLL_S):
            raise JobRunningError(f"{options.job}: asked to end while it waited for {holder}")


def _wait_for_orphans(options: RunOptions, console: Console, asked_to_end: Callable[[float], bool]) -> None:
    """Let what a killed session has left on this machine save first."""
    store, told = absolute(options.store), False
    until_s = time.monotonic() + options.grace_s + _ORPHANS_S
    while not options.take_over and time.monotonic() < until_s and orphans.are_there(store, options.job):
        if not told:
            console.say(f"{options.job}: the last session was killed and is still saving: waiting for it")
            told = True
        if asked_to_end(_ORPHANS_POLL_S):
            raise JobRunningError(f"{options.job}: asked to end while the last session was still saving")


def _ways_out(options: RunOptions) -> str:
    job, fresh, accept = (
        ("job='other'", "fresh=True", "accept_changes=True")
        if options.kind == "function"
        else ("--job OTHER", "--fresh", "--accept-changes")
    )
    return (
        f"ways out: {job} for a job of its own, {fresh} to start over (the old folder is kept), {accept} to go on from "
        "the checkpoint with the new arguments"
    )


def _check_command(
    options: RunOptions, record: JobRecord, source: str, repository: Repository, console: Console
) -> bool:
    """Compare this command with the recorded one; True if it differs and may go on all the same."""
    now = new_record(options, source)
    before_words, now_words = _comparable(record.argv), _comparable(now.argv)
    if before_words != now_words:
        difference = identity.argument_difference(before_words, now_words)
        if not options.accept_changes and (record.finished or _has_trained(repository)):
            raise JobChangedError(
                f"job {options.job!r} in {repository.describe()} was started with other arguments:"
                f"\n{difference}",
                advice=_ways_out(options),
            )
        console.warn(f"{options.job}: going on with other arguments")
        console.block(difference)
    if record.source and not record.finished:
        before_texts = {Path(options.target).name: record.source, **record.modules}
        now_texts = {Path(options.target).name: source, **now.modules}
        for name in [name for name in now_texts if before_texts.get(name, now_texts[name]) != now_texts[name]]:
            what = "the script" if name == Path(options.target).name else name
            console.warn(f"{options.job}: {what} has changed since the last session")
            console.block(identity.source_difference(before_texts[name], now_texts[name], name))
    return before_words != now_words or record.source != source or record.modules != now.modules


def _comparable(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The words that make a job: a script by its name, since its folder may lie elsewhere on this machine."""
    if not argv or argv[0] in ("-m", "@survivable"):
        return argv
    return (Path(argv[0]).name, *argv[1:])


class Heartbeat:
    """Gives signs of life for a lease from a thread, since a store can hang and the session must not.

    ``on_lost`` is called, in that thread, when another session has taken the job over.
    """

    def __init__(self, held: Lease, on_lost: Callable[[str], None]) -> None:
        """Prepare; it beats while it is entered."""
        self._lease, self._on_lost = held, on_lost
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="survivor-lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a beat that hangs in the store is left behind."""
        self._end.set()
        self._thread.join(timeout=1.0)

    def _beat(self) -> None:
        while not self._end.wait(lease.REFRESH_S):
            try:
                self._lease.refresh()
            except JobRunningError as error:
                self._on_lost(str(error))
                return
            except StoreError:
                continue  # the next beat may get through; commits look for themselves
