"""One session of a job: run the child, hear it and the signals, and decide what its end means.

The loop owns everything that changes; decisions are ``policy``'s, words are ``wording``'s, what lies
in the job folder is ``job``'s.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from survivor.channel import (
    Failed,
    Finished,
    Message,
    Note,
    Ready,
    Refused,
    Saved,
    SaveFailed,
    Start,
    Stop,
    Stopped,
)
from survivor.checkpoint.lease import Lease
from survivor.errors import EXIT_SAVED, SurvivorError
from survivor.supervisor import events, policy, wording
from survivor.supervisor.console import Console
from survivor.supervisor.job import Heartbeat
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import StopRequest, Verdict
from survivor.supervisor.process import Child
from survivor.supervisor.signals import STOP_SIGNALS, SignalInbox
from survivor.supervisor.transcript import Transcript
from survivor.supervisor.wording import Newest

#: How often a child that was killed is looked at until it is gone (a hung mount can keep it a while).
_KILLED_POLL_S = 0.05


@dataclass(kw_only=True)
class Run:
    """One child's life: what it said, and whether it made progress."""

    last: Message | None = None
    progressed: bool = False
    final: Saved | None = None
    ready: bool = False


@dataclass(kw_only=True)
class Session:
    """Runs children until the job is finished, stopped or given up.

    Attributes:
        options: what the user asked for.
        start: the first message to each child.
        hash_seed: ``PYTHONHASHSEED`` of each child.
        console: for the user.
        hook: gets the events.
        lease: kept alive while the session runs.
        fds: handed on to each child.
        transcript: what the children print, shared with them.
        clock: monotonic seconds.
    """

    options: RunOptions
    start: Start
    hash_seed: str
    console: Console
    hook: events.Hook
    lease: Lease
    fds: tuple[int, ...] = ()
    transcript: Transcript = field(default_factory=Transcript)
    clock: Callable[[], float] = time.monotonic
    refused: Refused | None = None
    failed: Failed | None = None
    newest: Newest = field(default_factory=Newest)
    _stop: StopRequest | None = None
    _fruitless_ends: int = 0

    def run(self, inbox: SignalInbox) -> Verdict:
        """Run to the end of the session, as the signals in ``inbox`` want it; the user and the hook are told."""
        began_s = self.clock()
        limit_s = self.options.time_limit_s
        self._limit_at_s = None if limit_s is None else began_s + limit_s - self.options.grace_s
        verdict = Verdict(kind="restart")
        with Heartbeat(self.lease, self._on_lost):
            while verdict.kind == "restart":
                if self._wait(inbox, verdict.delay_s):
                    verdict = self._run_child(inbox)
                else:
                    verdict = Verdict(kind="saved", exit_code=EXIT_SAVED)
                    self._say_stopped(None)
                if verdict.kind == "restart":
                    self._fruitless_ends = verdict.fruitless_ends
                    self._emit(events.Restarting, cause=verdict.cause, delay_s=verdict.delay_s)
                    self.console.warn(wording.restarting(self.options, verdict, self.newest.position))
        self._emit(events.Ended, outcome=verdict.kind, exit_code=verdict.exit_code)
        return verdict

    # ------------------------------------------------------------------ one child

    def _run_child(self, inbox: SignalInbox) -> Verdict:
        run = Run()
        with Child(self.start, hash_seed=self.hash_seed, fds=self.fds) as child:
            if self._stop is not None:  # asked for while no child was there to be told
                child.send(Stop(reason=self._stop.reason, deadline_s=self._stop.grace_s))
            self._attend(child, inbox, run)
            if self._may_clear(run):
                child.signal_group(signal.SIGKILL)
            status = child.reap()
        verdict = policy.judge(
            policy.ChildEnd(
                status=status,
                last=run.last,
                stop_reason=self.stop_reason,
                progressed=run.progressed,
                fruitless_ends=self._fruitless_ends,
                max_restarts=self.options.max_restarts,
            )
        )
        if verdict.kind == "saved":
            self._say_stopped(run.final)
        return verdict

    def _attend(self, child: Child, inbox: SignalInbox, run: Run) -> None:
        """Serve the child until it has ended and all that it said is heard."""
        with selectors.DefaultSelector() as selector:
            selector.register(child.pidfd, selectors.EVENT_READ)
            selector.register(inbox.wakeup, selectors.EVENT_READ)
            selector.register(child.socket, selectors.EVENT_READ)
            while not child.has_ended:
                selector.select(self._patience_s())
                self._hear(child, run)
                if child.channel_is_closed and child.socket in selector.get_map():
                    selector.unregister(child.socket)
                for number in inbox.drain():
                    self._on_signal(number, child)
                self._keep_time(child)
            self._hear(child, run)

    def _hear(self, child: Child, run: Run) -> None:
        for message in child.receive():
            self._on_message(message, run, child)

    def _on_message(self, message: Message, run: Run, child: Child) -> None:
        if isinstance(message, Ready):
            self._on_ready(message, run)
        elif isinstance(message, Saved):
            self._on_saved(message, run)
        elif isinstance(message, SaveFailed):
            self.console.warn(wording.save_failed(self.options, message, self.newest.position))
        elif isinstance(message, Note):
            (self.console.warn if message.warning else self.console.say)(message.text)
        elif isinstance(message, (Stopped, Finished, Failed, Refused)):
            run.last = message
            self.failed = message if isinstance(message, Failed) else self.failed
            self.refused = message if isinstance(message, Refused) else self.refused

    def _on_ready(self, message: Ready, run: Run) -> None:
        run.ready = True
        self._emit(
            events.Started, pid=message.pid, checkpoint=message.checkpoint, position=message.position
        )
        if message.checkpoint:
            self.newest.note(message, message.saved_at)
            self.console.say(wording.continuing(self.options, message, time.time()))

    def _on_saved(self, message: Saved, run: Run) -> None:
        run.progressed = run.progressed or message.step > self.newest.step
        run.final = message if message.final else run.final
        self.newest.note(message, time.time())
        self._emit(
            events.CheckpointSaved,
            checkpoint=message.checkpoint,
            step=message.step,
            position=message.position,
            size_bytes=message.size_bytes,
            seconds=message.seconds,
        )

    @staticmethod
    def _may_clear(run: Run) -> bool:
        """Whether what the child left running ends with it: not after an end of the program's own."""
        return not isinstance(run.last, (Finished, Failed))

    # ------------------------------------------------------------------ stopping

    def _on_signal(self, number: int, child: Child | None) -> None:
        if number in STOP_SIGNALS:
            self._request(policy.on_signal(number, self.clock(), self.options.grace_s, self._stop), child)
        elif number == signal.SIGTSTP:
            if child is not None:
                child.signal_group(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number == signal.SIGCONT and child is not None:
            child.signal_group(signal.SIGCONT)

    def _request(self, request: StopRequest, child: Child | None) -> None:
        if request == self._stop:
            return
        first, self._stop = self._stop is None, request
        if first:
            self._emit(events.Noticed, reason=request.reason, left_s=request.grace_s)
            if child is not None:
                child.send(Stop(reason=request.reason, deadline_s=request.grace_s))

    @property
    def stop_reason(self) -> str:
        """Why the session was asked to end; "" if it was not."""
        return self._stop.reason if self._stop else ""

    def error(self, verdict: Verdict) -> SurvivorError | None:
        """The error of survivor's own that a verdict stands for, if any."""
        if verdict.kind == "refused" and self.refused is not None:
            return wording.refused(self.options, self.refused)
        if verdict.kind == "crash-loop":
            return wording.crash_loop(self.options, verdict.cause, self.newest.position)
        return None

    def _on_lost(self, why: str) -> None:
        """Another session has the job (called in the lease's thread): a signal wakes our own loop."""
        self.console.warn(why)
        os.kill(os.getpid(), signal.SIGUSR1)

    def _keep_time(self, child: Child) -> None:
        now_s = self.clock()
        if self._stop is None and self._limit_at_s is not None and now_s >= self._limit_at_s:
            self._request(
                StopRequest(reason="time limit", asked_at_s=now_s, grace_s=self.options.grace_s), child
            )
        if self._stop is not None and self._stop.left_s(now_s) == 0 and not child.has_ended:
            child.signal_group(signal.SIGKILL)

    def _patience_s(self) -> float | None:
        """How long to wait for something to happen; None if only the child or a signal can end the wait."""
        if self._stop is not None:
            return max(_KILLED_POLL_S, self._stop.left_s(self.clock()))
        return None if self._limit_at_s is None else max(0.0, self._limit_at_s - self.clock())

    def _wait(self, inbox: SignalInbox, delay_s: float) -> bool:
        """Wait before a start; False if the session was asked to end before or meanwhile."""
        until_s = self.clock() + delay_s
        while self._stop is None:
            inbox.wait(max(0.0, until_s - self.clock()))
            for number in inbox.drain():
                self._on_signal(number, None)
            if self.clock() >= until_s:
                break
        return self._stop is None

    def _say_stopped(self, final: Saved | None) -> None:
        reason = self.stop_reason or "asked to stop"
        self.console.say(wording.stopped(self.options, reason, final, self.newest, time.time()))

    def _emit(self, kind: type[events.Event], **fields: object) -> None:
        self.hook(kind(job=self.options.job, session=self.start.session, **fields))  # type: ignore[arg-type]
