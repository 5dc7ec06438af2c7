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

from survivor import machine
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
from survivor.pulse import Pulse
from survivor.supervisor import policy, wording
from survivor.supervisor.hang import HangWatch, print_stacks
from survivor.supervisor.keeper import Keeper
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import Verdict
from survivor.supervisor.process import Child
from survivor.supervisor.signals import STOP_SIGNALS, SignalInbox
from survivor.supervisor.stopping import Stopping
from survivor.supervisor.telling import Teller
from survivor.supervisor.transcript import Transcript
from survivor.supervisor.watch import Watch, sources

#: What the end of a session takes even if it shall end at once.
_LAST_S = 2.0
#: How long the store may take to note the end of the session.
_CLOSING_S = 30.0
_STACKS_S = 1.0


@dataclass(kw_only=True)
class Run:
    """One child's life: what it said, and whether it made progress."""

    last: Message | None = None
    progressed: bool = False
    final: Saved | Snapped | None = None
    oom_kills: int = 0
    cause: str = ""


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
    _pid: int = 0
    _fruitless_ends: int = 0
    _reached: int = 0
    _final: Saved | Snapped | None = None

    def run(self, inbox: SignalInbox) -> Verdict:
        """Run to the end of the session, as the signals in ``inbox`` want it; the user and the hook are told.

        What is left to do then is `close`.
        """
        self._inbox, self._pulse = inbox, Pulse()
        self._keeper = Keeper(self.write, self.options.every_s, self.clock)
        self._keeper.on_saved, self._keeper.on_problem = self._on_persisted, self._on_problem
        self._stop = Stopping(self.options.grace_s, self._keeper, self._pulse, self.clock)
        watched = sources(self.options, self.tell.warn)
        self._watch = Watch(watched, lambda: self._stop.view(self._pid), self.tell.warn)
        with self._keeper.closing_on_error(), self._watch:
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
            self.tell.stopped(self.stop_reason, self._keeper.saved_as(self._final), self._keeper.spooled_in)
        self.tell.ended(verdict)
        return verdict

    def close(self, message: Close) -> str:
        """Have the end recorded and the lease given back; returns what went wrong, or ""."""
        keeper, began_s = self._keeper, self.clock()
        with keeper, self._pulse:
            keeper.begin_close(message)
            while keeper.closed is None:
                left_s = self._stop.left_s(began_s)
                if self._stop.request is None or self._stop.request.at_once:
                    left_s = began_s + (_CLOSING_S if left_s is None else _LAST_S) - self.clock()
                if left_s is None or left_s <= 0:
                    return "the store does not answer"
                self._pause(left_s, None)
                self._heed(None)
                keeper.work()
            return keeper.closed.problem

    # ------------------------------------------------------------------ one child

    def _run_child(self) -> Verdict:
        run, keeper = Run(oom_kills=machine.oom_kills()), self._keeper
        self._pulse.reset()
        fds = (*self.fds, *keeper.fds, self._pulse.fd)
        start = replace(self.start, arena=keeper.fds, pulse_fd=self._pulse.fd, from_arena=keeper.newest is not None)
        with Child(start, hash_seed=self.hash_seed, fds=fds) as child:
            self._pid = child.pid
            self._hang = HangWatch(child.pid, self._pulse, self.options.hang_after_s, self.clock)
            keeper.guard(child.pid, child.send)
            if self._stop.request is not None:  # asked for while no child was there to be told
                self._ask(child)
            self._attend(child, run)
            if self._may_clear(run):
                child.signal_group(signal.SIGKILL)
            status = child.reap()
            self._pid = 0
        if keeper.look() and keeper.newest is not None:
            self._progress(keeper.newest.step, run)
        keeper.hurry()
        self._final = run.final
        if status == -signal.SIGKILL and machine.oom_kills() > run.oom_kills:
            run.cause = policy.OUT_OF_MEMORY
        return policy.judge(
            policy.ChildEnd(
                status=status,
                last=run.last,
                stop_reason=self.stop_reason,
                progressed=run.progressed,
                fruitless_ends=self._fruitless_ends,
                max_restarts=self.options.max_restarts,
                cause=run.cause,
            )
        )

    def _attend(self, child: Child, run: Run) -> None:
        """Serve the child until it has ended and all that it said is heard."""
        while not child.has_ended:
            times = [self._hang.patience_s, self._stop.patience_s()]
            self._pause(min(t for t in times if t is not None), child)
            self._hear(child, run)
            self._heed(child)
            if self._stop.presses(saved_last=run.final is not None):
                self._keeper.hurry()
            self._keeper.work()
            self._keep_time(child, run)
        self._hear(child, run)

    def _pause(self, seconds: float | None, child: Child | None) -> None:
        """Wait until something is to be heard, at most so long."""
        times = [t for t in (seconds, self._keeper.patience_s()) if t is not None]
        poll = select.poll()
        for fd in (self._inbox.wakeup.fileno(), self._watch.wakeup.fileno(), *self._keeper.sockets()):
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
        if message.final:  # the writer can begin while the child still ends
            self._keeper.hurry()
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
            left_s = self._stop.left_s(began_s)
            if left_s == 0:
                break
            if keeper.unsaved:
                self._pause(left_s, None)
                self._heed(None)
        if keeper.lost is not None and verdict.kind != "refused":
            self.refused = wording.lost(keeper.lost)
            return Verdict(kind="refused", exit_code=JobRunningError.exit_code)
        return verdict

    # ------------------------------------------------------------------ stopping

    def _heed(self, child: Child | None) -> None:
        """Act on the signals and notices that have come."""
        for number in self._inbox.drain():
            if number in STOP_SIGNALS:
                if self._stop.on_signal(number):
                    self._ask(child)
            elif number == signal.SIGTSTP:
                if child is not None:
                    child.signal_group(signal.SIGSTOP)
                os.kill(os.getpid(), signal.SIGSTOP)
            elif number == signal.SIGCONT and child is not None:
                child.signal_group(signal.SIGCONT)
        for notice in self._watch.drain():
            if notice.ends:
                if self._stop.on_notice(notice):
                    self.tell.notice(notice)
                    self._ask(child)
            else:
                self.tell.notice(notice)
                self._keeper.hurry()

    def _ask(self, child: Child | None) -> None:
        request = self._stop.request
        assert request is not None
        self.tell.noticed(request)
        if child is not None:
            child.send(Stop(reason=request.reason, deadline_s=request.grace_s))

    @property
    def stop_reason(self) -> str:
        """Why the session was asked to end; "" if it was not."""
        return self._stop.reason

    def error(self, verdict: Verdict) -> SurvivorError | None:
        """The error of survivor's own that a verdict stands for, if any."""
        if verdict.kind == "refused" and self.refused is not None:
            return wording.refused(self.options, self.refused)
        if verdict.kind == "crash-loop":
            return wording.crash_loop(self.options, verdict.cause, self._position())
        return None

    def _keep_time(self, child: Child, run: Run) -> None:
        """End a child by force that must not go on: its time is over, the job is another's, or it hangs."""
        if child.has_ended:
            return
        if self._keeper.lost is not None and not isinstance(run.last, Refused):
            run.last = self.refused = wording.lost(self._keeper.lost)
            child.signal_group(signal.SIGKILL)
        elif self._stop.child_is_overdue:
            child.signal_group(signal.SIGKILL)
        elif not run.cause and (silence_s := self._hang.silence_s()):
            run.cause = wording.hung(silence_s)
            self.tell.warn(f"{self.options.job}: the training process {run.cause}; its stacks:")
            print_stacks(child.pid)
            time.sleep(_STACKS_S)  # to write them: nothing tells when they have
            child.signal_group(signal.SIGKILL)

    def _wait(self, delay_s: float) -> bool:
        """Wait before a start; False if the session was asked to end before or meanwhile."""
        until_s = self.clock() + delay_s
        while True:
            self._heed(None)
            self._keeper.work()
            left_s = until_s - self.clock()
            if self._stop.request is not None or left_s <= 0:
                return self._stop.request is None
            self._pause(left_s, None)
