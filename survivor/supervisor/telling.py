"""What a session tells: events for the hook, lines for the user."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from survivor.channel import Note, Persisted, Ready, Saved, Snapped
from survivor.notices import Notice
from survivor.supervisor import events, wording
from survivor.supervisor.console import Console
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import StopRequest, Verdict
from survivor.supervisor.wording import Newest


@dataclass(kw_only=True)
class Teller:
    """Speaks for one session.

    Attributes:
        options: what the user asked for.
        session: its number.
        console: for the user.
        hook: gets the events.
        newest: the newest checkpoint.
    """

    options: RunOptions
    session: int
    console: Console
    hook: events.Hook
    newest: Newest = field(default_factory=Newest)

    def note(self, message: Note) -> None:
        """A line of the child's."""
        (self.console.warn if message.warning else self.console.say)(message.text)

    def started(self, message: Ready) -> None:
        """A child runs; where it goes on from something, the user is told."""
        self._emit(
            events.Started,
            pid=message.pid,
            checkpoint=message.checkpoint,
            position=message.position,
            step=message.step,
        )
        if message.checkpoint:
            self.console.say(wording.continuing(self.options, message, time.time()))

    def snapshot(self, message: Snapped) -> None:
        """A snapshot was taken."""
        self._emit(
            events.SnapshotTaken,
            step=message.step,
            position=message.position,
            size_bytes=message.size_bytes,
            seconds=message.seconds,
        )

    def checkpoint(self, message: Saved | Persisted, taken_at: float) -> None:
        """A checkpoint is durable; ``taken_at`` in seconds since 1970."""
        self.newest.note(message, taken_at)
        self._emit(
            events.CheckpointSaved,
            checkpoint=message.checkpoint,
            step=message.step,
            position=message.position,
            size_bytes=message.size_bytes,
            seconds=message.seconds,
        )

    def problem(self, reason: str, spool: str) -> None:
        """The store took no checkpoint."""
        self.console.warn(wording.save_failed(self.options, reason, self.newest, time.time(), spool))

    def warn(self, text: str) -> None:
        """A line of warning; from any thread."""
        self.console.warn(text)

    def notice(self, found: Notice) -> None:
        """A notice has come from elsewhere than a signal."""
        text = wording.notice(self.options, found)
        (self.console.say if found.ends else self.console.warn)(text)
        if not found.ends:
            self._emit(events.Noticed, reason=found.reason, left_s=-1.0, ends=False)

    def noticed(self, request: StopRequest) -> None:
        """The session is asked to end."""
        self._emit(events.Noticed, reason=request.reason, left_s=request.grace_s)

    def restarting(self, verdict: Verdict, position: str) -> None:
        """The child is started again."""
        self._emit(events.Restarting, cause=verdict.cause, delay_s=verdict.delay_s)
        self.console.warn(wording.restarting(self.options, verdict, position))

    def stopped(self, reason: str, final: Saved | Persisted | None, spool: str) -> None:
        """The session ends before the job does."""
        reason = reason or "asked to stop"
        self.console.say(wording.stopped(self.options, reason, final, self.newest, time.time(), spool=spool))

    def ended(self, verdict: Verdict) -> None:
        """The session is over."""
        self._emit(events.Ended, outcome=verdict.kind, exit_code=verdict.exit_code)

    def _emit(self, kind: type[events.Event], **fields: object) -> None:
        self.hook(kind(job=self.options.job, session=self.session, **fields))  # type: ignore[arg-type]
