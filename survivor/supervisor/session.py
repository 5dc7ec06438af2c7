"""One session of a job: run the child, hear it and the signals, and decide what its end means.

The loop owns everything that changes; decisions are ``policy``'s, words are ``wording``'s, what lies
in the job folder is ``job``'s, and what becomes of snapshots is the ``keeper``'s.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from survivor.channel import (
    Close,
    Failed,
    Finished,
    Message,
    Note,
    Persisted,
    Ready,
    Refused,
    Saved,
    SaveFailed,
    Snapped,
    Start,
    Stop,
    Stopped,
    Write,
)
from survivor.errors import EXIT_SAVED, JobRunningError, SurvivorError
from survivor.supervisor import policy, wording
from survivor.supervisor.keeper import Keeper
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import StopRequest, Verdict
from survivor.supervisor.process import Child
from survivor.supervisor.signals import STOP_SIGNALS, SignalInbox
from survivor.supervisor.telling import Teller
from survivor.supervisor.transcript import Transcript

#: How often a child that was killed is looked at until it is gone (a hung mount can keep it a while).
_KILLED_POLL_S = 0.05
#: After the end of the grace period a write that is under way gets so long.
_LAST_S = 2.0
#: How long the store may take to note the end of the session.
_CLOSING_S = 30.0


@dataclass(kw_only=True)
class Run:
    """One child's life: what it said, and whether it made progress."""

    last: Message | None = None
    progressed: bool = False
    final: Saved | Snapped | None = None


@dataclass(kw_only=True)
class Session:
    """Runs children until the job is finished, stopped or given up.

    Attributes:
        options: what the user asked for.
        start: the first message to each child.
        hash_seed: ``PYTHONHASHSEED`` of each child.
        tell: to the user, and to the hook.
        write: the first message to each writer.
        fds: handed on to each child.
        transcript: what the children print, shared with them.
        clock: monotonic seconds.
    """

    options: RunOptions
    start: Start
    hash_seed: str
    tell: Teller
    write: Write
    fds: tuple[int, ...] = ()
    transcript: Transcript = field(default_factory=Transcript)
    clock: Callable[[], float] = time.monotonic
    refused: Refused | None = None
    failed: Failed | None = None
    _stop: StopRequest | None = None
    _fruitless_ends: int = 0
    _reached: int = 0
    _final: Saved | Snapped | None = None

    def run(self, inbox: SignalInbox) -> Verdict:
        """Run to the end of the session, as the signals in ``inbox`` want it; the user and the hook are told.

        What is left to do then is `close`.
        """
        self._inbox = inbox
        began_s = self.clock()
        limit_s = self.options.time_limit_s
        self._limit_at_s = None if limit_s is None else began_s + limit_s - self.options.grace_s
        self._keeper = Keeper(self.write, self.options.every_s, self.clock)
        self._keeper.on_saved, self._keeper.on_problem = self._on_persisted, self._on_problem
        with self._keeper.closing_on_error():
            verdict = Verdict(kind="restart")
            while verdict.kind == "restart":
                if self._wait(verdict.delay_s):
                    verdict = self._run_child()
                else:
                    verdict = Verdict(kind="saved", exit_code=EXIT_SAVED)
                if verdict.kind == "restart":
                    self._fruitless_ends = verdict.fruitless_ends
                    self.tell.restarting(verdict, self._position())
            verdict = self._settle(verdict)
        if verdict.kind == "saved":
            self._say_stopped()
        self.tell.ended(verdict)
        return verdict

    def close(self, message: Close) -> str:
        """Have the end recorded and the lease given back; returns what went wrong, or ""."""
        keeper = self._keeper
        with keeper:
            keeper.begin_close(message)
            until_s = self.clock() + _CLOSING_S
            while keeper.closed is None:
                if self._stop is not None:
                    until_s = min(until_s, max(self._stop.deadline_s, self.clock() + _LAST_S))
                if self.clock() >= until_s:
                    return "the store does not answer"
                self._pause(until_s - self.clock(), None)
                self._heed(None)
                keeper.work()
            return keeper.closed.problem

    # ------------------------------------------------------------------ one child

    def _run_child(self) -> Verdict:
        run, keeper = Run(), self._keeper
        start = replace(self.start, arena=keeper.fds, from_arena=keeper.newest is not None)
        with Child(start, hash_seed=self.hash_seed, fds=(*self.fds, *keeper.fds)) as child:
            keeper.guard(child.pid, child.send)
            if self._stop is not None:  # asked for while no child was there to be told
                child.send(Stop(reason=self._stop.reason, deadline_s=self._stop.grace_s))
            self._attend(child, run)
            if self._may_clear(run):
                child.signal_group(signal.SIGKILL)
            status = child.reap()
        if keeper.look() and keeper.newest is not None:
            self._progress(keeper.newest.step, run)
        keeper.hurry()
        self._final = run.final
        return policy.judge(
            policy.ChildEnd(
                status=status,
                last=run.last,
                stop_reason=self.stop_reason,
                progressed=run.progressed,
                fruitless_ends=self._fruitless_ends,
                max_restarts=self.options.max_restarts,
            )
        )

    def _attend(self, child: Child, run: Run) -> None:
        """Serve the child until it has ended and all that it said is heard."""
        while not child.has_ended:
            self._pause(self._patience_s(), child)
            self._hear(child, run)
            self._heed(child)
            if self._presses(run):
                self._keeper.hurry()
            self._keeper.work()
            self._keep_time(child, run)
        self._hear(child, run)

    def _pause(self, seconds: float | None, child: Child | None) -> None:
        """Wait until something is to be heard, at most so long."""
        times = [t for t in (seconds, self._keeper.patience_s()) if t is not None]
        poll = select.poll()
        for fd in (self._inbox.wakeup.fileno(), *self._keeper.sockets()):
            poll.register(fd, select.POLLIN)
        if child is not None:
            poll.register(child.pidfd, select.POLLIN)
            if not child.channel_is_closed:
                poll.register(child.socket, select.POLLIN)
        poll.poll(math.ceil(1000 * max(0.0, min(times))) if times else None)

    def _hear(self, child: Child, run: Run) -> None:
        for message in child.receive():
            self._on_message(message, run)

    def _on_message(self, message: Message, run: Run) -> None:
        if isinstance(message, Ready):
            self._on_ready(message, run)
        elif isinstance(message, Snapped):
            self._on_snapped(message, run)
        elif isinstance(message, Saved):
            self._progress(message.step, run)
            run.final = message if message.final else run.final
            self.tell.checkpoint(message, time.time())
        elif isinstance(message, SaveFailed):
            self._on_problem(message.reason)
        elif isinstance(message, Note):
            self.tell.note(message)
        elif isinstance(message, (Stopped, Finished, Failed, Refused)) and self._keeper.lost is None:
            run.last = message
            self.failed = message if isinstance(message, Failed) else self.failed
            self.refused = message if isinstance(message, Refused) else self.refused

    def _on_ready(self, message: Ready, run: Run) -> None:
        self._reached = max(self._reached, message.step)
        if message.checkpoint and self._keeper.newest is None:
            self.tell.newest.note(message, message.saved_at)
        self.tell.started(message)

    def _on_snapped(self, message: Snapped, run: Run) -> None:
        self._keeper.look()
        self._progress(message.step, run)
        run.final = message if message.final else run.final
        if message.wait:
            self._keeper.wait_for(message.seq)
        self.tell.snapshot(message)

    def _on_persisted(self, message: Persisted) -> None:
        held = self._keeper.newest
        self.tell.checkpoint(message, held.taken_at if held and held.seq == message.seq else time.time())

    def _on_problem(self, reason: str) -> None:
        self.tell.problem(reason, self._keeper.spool_folder)

    def _progress(self, step: int, run: Run) -> None:
        run.progressed = run.progressed or step > self._reached
        self._reached = max(self._reached, step)

    def _position(self) -> str:
        """Where a child that is started now goes on."""
        held = self._keeper.newest
        if held is None:
            return self.tell.newest.position
        return held.position if held.step else ""

    @staticmethod
    def _may_clear(run: Run) -> bool:
        """Whether what the child left running ends with it: not after an end of the program's own."""
        return not isinstance(run.last, (Finished, Failed))

    def _settle(self, verdict: Verdict) -> Verdict:
        """See the newest snapshot written before the session ends."""
        keeper, began_s = self._keeper, self.clock()
        while keeper.unsaved and not keeper.hopeless and keeper.lost is None:
            keeper.hurry()
            keeper.work()
            if self._stop is not None:
                left_s = max(self._stop.deadline_s, began_s + _LAST_S) - self.clock()
                if self._stop.at_once or left_s <= 0:
                    break
            if keeper.unsaved:
                self._pause(left_s if self._stop is not None else None, None)
                self._heed(None)
        if keeper.lost is not None and verdict.kind != "refused":
            self.refused = wording.lost(keeper.lost)
            return Verdict(kind="refused", exit_code=JobRunningError.exit_code)
        return verdict

    # ------------------------------------------------------------------ stopping

    def _heed(self, child: Child | None) -> None:
        for number in self._inbox.drain():
            self._on_signal(number, child)

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
            self.tell.noticed(request)
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
            return wording.crash_loop(self.options, verdict.cause, self._position())
        return None

    def _presses(self, run: Run) -> bool:
        """Whether the newest snapshot must be written now, since the end is near."""
        if self._stop is None:
            return False
        return run.final is not None or self.clock() >= self._emergency_at_s(self._stop)

    def _emergency_at_s(self, stop: StopRequest) -> float:
        """When the snapshot that is there must be written, if no newer one comes."""
        return stop.deadline_s - max(1.0, 2 * self._keeper.estimate_s())

    def _keep_time(self, child: Child, run: Run) -> None:
        now_s = self.clock()
        if self._stop is None and self._limit_at_s is not None and now_s >= self._limit_at_s:
            self._request(
                StopRequest(reason="time limit", asked_at_s=now_s, grace_s=self.options.grace_s), child
            )
        if self._keeper.lost is not None and not isinstance(run.last, Refused):
            run.last = self.refused = wording.lost(self._keeper.lost)
            child.signal_group(signal.SIGKILL)
        if self._stop is not None and self._stop.left_s(now_s) == 0 and not child.has_ended:
            child.signal_group(signal.SIGKILL)

    def _patience_s(self) -> float | None:
        """How long to wait for something to happen; None if only the child or a signal can end the wait."""
        now_s = self.clock()
        if self._stop is not None:
            left_s = [self._stop.left_s(now_s)]
            if (before_s := self._emergency_at_s(self._stop) - now_s) > 0:
                left_s.append(before_s)
            return max(_KILLED_POLL_S, min(left_s))
        return None if self._limit_at_s is None else max(0.0, self._limit_at_s - now_s)

    def _wait(self, delay_s: float) -> bool:
        """Wait before a start; False if the session was asked to end before or meanwhile."""
        until_s = self.clock() + delay_s
        while True:
            self._heed(None)
            self._keeper.work()
            left_s = until_s - self.clock()
            if self._stop is not None or left_s <= 0:
                return self._stop is None
            self._pause(left_s, None)

    def _say_stopped(self) -> None:
        keeper, final = self._keeper, self._final
        saved: Saved | Persisted | None = final if isinstance(final, Saved) else None
        if isinstance(final, Snapped) and keeper.durable is not None and keeper.durable.seq >= final.seq:
            saved = replace(keeper.durable, seconds=keeper.durable.seconds + final.seconds)
        self.tell.stopped(self.stop_reason, saved, keeper.spool_folder if keeper.spooled else "")
