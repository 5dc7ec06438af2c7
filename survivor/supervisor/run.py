"""``survivor run`` behind its command line: open the job, run a session, say and record how it ended."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, replace

from survivor.channel import Close, Start, Write
from survivor.errors import EXIT_FINISHED, UsageError
from survivor.store import absolute
from survivor.supervisor import events, places, probing, wording
from survivor.supervisor.console import Console
from survivor.supervisor.job import OpenJob, open_job
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import Verdict
from survivor.supervisor.session import Session
from survivor.supervisor.signals import SignalInbox
from survivor.supervisor.sources import read_source
from survivor.supervisor.telling import Teller
from survivor.supervisor.transcript import Transcript, shown_file


def run_job(options: RunOptions, *hooks: events.Hook) -> int:
    """Run or continue a job, telling ``hooks`` what happens; returns the exit code of the process.

    The process has nothing to do afterwards but to end: it hears no signal any more.

    Raises:
        SurvivorError: the job could not be begun, by the class that says why.
    """
    # from here to the end of the process: a signal is never a sudden death
    with SignalInbox(last=True) as inbox:
        return _run_job(options, inbox, hooks)


def _run_job(options: RunOptions, inbox: SignalInbox, hooks: tuple[events.Hook, ...]) -> int:
    console = Console(quiet=options.quiet)
    if options.kind == "script":
        check_script(options.target)
    files = [events.file_hook(options.events)] if options.events else []
    hook = events.to_all(*files, *hooks)
    opened = open_session(options, read_source(options), console, inbox, hook)
    if opened is None:
        return EXIT_FINISHED
    session = opened
    verdict = session.run(inbox)
    tell(session, verdict, console)
    for line in places.Place().parting(options.store):
        console.say(line)
    close(verdict, session, console)
    return verdict.exit_code


def open_session(
    options: RunOptions,
    source: str,
    console: Console,
    inbox: SignalInbox,
    hook: events.Hook = lambda _: None,
) -> Session | None:
    """Open the job and prepare a session of it; None if the job is finished.

    Raises:
        SurvivorError: the job could not be begun, by the class that says why.
    """
    probing.ask(options.store, options.job, inbox)
    place = places.Place()
    for line in place.check(options.store):
        console.warn(line)
    for line in place.note(options.store):
        console.say(line)
    job = open_job(options, source, console, inbox.wait)
    if job is None:
        return None
    transcript = Transcript()
    return Session(
        options=options,
        start=replace(start_message(options, job), output_fd=transcript.fd, shown=shown_file(options, job)),
        fds=(transcript.fd,),
        transcript=transcript,
        hash_seed=str(job.record.hash_seed),
        tell=Teller(options=options, session=job.session.number, console=console, hook=hook),
        write=replace(write_message(options, job), output_fd=transcript.fd),
    )


def check_script(path: str) -> None:
    """Raise ``UsageError`` if there is no such file, before anything is made for it."""
    if not os.path.isfile(path):
        why = "is a folder" if os.path.isdir(path) else "no such file"
        raise UsageError(
            f"can't open {os.path.abspath(path)!r}: {why}",
            advice="check the path of the script; survivor's own options stand before it",
        )


def start_message(options: RunOptions, job: OpenJob) -> Start:
    """What the child is told."""
    return Start(
        kind=options.kind,
        target=options.target,
        root=options.root,
        environment=job.environment,
        deterministic=job.session.fingerprint.get("deterministic") == "yes",
        on_drift=options.on_drift,
        carry=options.carry,
        no_carry=options.no_carry,
        args=options.args,
        store=absolute(options.store),
        job=options.job,
        session=job.session.number,
        token=job.lease.token,
        origin={key: str(value) for key, value in job.session.fingerprint.items()},
        every_s=options.every_s,
        overhead=options.overhead,
        grace_s=options.grace_s,
        allow_partial=options.allow_partial,
        accept_changes=options.accept_changes,
        ignore=options.ignore,
        keep=options.keep,
        keep_hourly=options.keep_hourly,
        keep_best=options.keep_best,
        hide_hash_seed="PYTHONHASHSEED" not in os.environ,
    )


def write_message(options: RunOptions, job: OpenJob) -> Write:
    """What the writer is told."""
    start = start_message(options, job)
    return Write(
        store=start.store,
        job=start.job,
        session=start.session,
        token=start.token,
        origin=start.origin,
        keep=start.keep,
        keep_hourly=start.keep_hourly,
        keep_best=start.keep_best,
        holder=asdict(job.lease.holder),
        grace_s=start.grace_s,
    )


def tell(session: Session, verdict: Verdict, console: Console) -> None:
    """Say how the session ended; of a stop the session itself has told."""
    if verdict.kind == "finished":
        console.say(wording.finished(session.options, session.start.session))
    elif verdict.kind == "failed":
        console.say(wording.failed(session.options, verdict.exit_code, session.tell.newest, session.failed))
    elif (error := session.error(verdict)) is not None:
        console.error(error)


def close(verdict: Verdict, session: Session, console: Console) -> None:
    """Record the end; a store that refuses even that changes nothing for the user's program."""
    reason = verdict.cause or session.stop_reason or verdict.kind
    printed = verdict.kind in ("finished", "failed")  # otherwise it will be printed again
    output = session.transcript.tail() if printed else {}
    problem = session.close(
        Close(outcome=verdict.kind, reason=reason, exit_code=verdict.exit_code, output=output)
    )
    if verdict.kind == "finished" and session.start.shown:
        with contextlib.suppress(OSError):
            os.unlink(session.start.shown)
    if problem:
        console.warn(f"the end of this session could not be recorded: {problem}")
