"""Every decision of the supervisor, as pure functions: what happened goes in, what to do comes out.

No clock, no process, no file in here, so each rule has its test and needs no running child.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

from survivor.channel import Failed, Finished, Message, Refused, Stopped
from survivor.errors import EXIT_FINISHED, EXIT_SAVED, CrashLoopError

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 60.0

#: The cause of a SIGKILL that the kernel's own counter owns up to.
OUT_OF_MEMORY = "was ended by the kernel, for want of memory"
_ADVICE = {
    OUT_OF_MEMORY: "Give it more memory, or let it take less: a smaller batch, fewer loader workers.",
    "SIGKILL": "If memory is scarce: a smaller batch, fewer loader workers.",
    "SIGSEGV": "The fault is in native code; python -X faulthandler shows where.",
    "SIGBUS": "A file that was mapped into memory became shorter, or shared memory (/dev/shm) is full.",
    "loader worker": "Fewer loader workers take less memory; num_workers=0 shows the error itself.",
    "hung": "The stacks above show where it stands; --hang-after TIME sets the patience.",
}

Kind = Literal["finished", "saved", "failed", "refused", "restart", "crash-loop"]


@dataclass(frozen=True, kw_only=True)
class ChildEnd:
    """How a child ended.

    Attributes:
        status: exit code, or minus the signal that killed it.
        last: what it said of its end; None if it said nothing.
        stop_reason: why it had been asked to end; "" if it had not.
        progressed: whether it made a checkpoint beyond all earlier ones.
        fruitless_ends: ends without progress in a row before this one.
        max_restarts: the most restarts in a row without progress.
        cause: what is known of the cause beside that, in words that follow "the training process".
    """

    status: int
    last: Message | None
    stop_reason: str
    progressed: bool
    fruitless_ends: int
    max_restarts: int
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What follows from a child's end.

    Attributes:
        kind: what to do.
        exit_code: of the supervisor; of no meaning for a restart.
        cause: in words, for a restart or a crash loop.
        delay_s: wait before a restart.
        fruitless_ends: the new count of ends without progress in a row.
    """

    kind: Kind
    exit_code: int = 0
    cause: str = ""
    delay_s: float = 0.0
    fruitless_ends: int = 0


def judge(end: ChildEnd) -> Verdict:
    """What to do after a child's end.

    The program's own verdict counts first: an exception or ``sys.exit`` is an answer, which another
    run would give again, and no accident. The exception to it is a loader worker that was killed.
    """
    if isinstance(end.last, Refused):
        return Verdict(kind="refused", exit_code=end.last.exit_code)
    if isinstance(end.last, Failed) and not is_accident(end.last):
        return Verdict(kind="failed", exit_code=_as_exit_code(end.status))
    if end.status == 0:
        # also for os._exit(0) in mid-run: what python calls a success is one
        return Verdict(kind="finished", exit_code=EXIT_FINISHED)
    if end.stop_reason or isinstance(end.last, Stopped):
        return Verdict(kind="saved", exit_code=EXIT_SAVED)
    if isinstance(end.last, Finished) and end.status > 0:
        return Verdict(kind="failed", exit_code=end.status)  # an exit handler or the last flush failed
    return _after_accident(end)


def _after_accident(end: ChildEnd) -> Verdict:
    cause = end.cause or describe_end(end.status, end.last)
    fruitless = 0 if end.progressed else end.fruitless_ends + 1
    if fruitless > end.max_restarts or end.max_restarts == 0:
        return Verdict(kind="crash-loop", exit_code=CrashLoopError.exit_code, cause=cause)
    delay_s = 0.0 if end.progressed else min(_FIRST_DELAY_S * 2 ** (fruitless - 1), _LONGEST_DELAY_S)
    return Verdict(kind="restart", cause=cause, delay_s=delay_s, fruitless_ends=fruitless)


def is_accident(failure: Failed) -> bool:
    """Whether an exception tells of something that befell the process and not of the program.

    A loader worker that the kernel or a signal ended is one: torch raises these words for it, in the
    process that trains.
    """
    return failure.error_type == "RuntimeError" and failure.message.startswith("DataLoader worker (pid")


def describe_end(status: int, last: Message | None) -> str:
    """How a child ended, in words that follow "the training process"."""
    if isinstance(last, Failed):
        return f"lost a loader worker ({last.message.splitlines()[0]})"
    if status >= 0:
        return f"ended with code {status} without a word"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = {"SIGKILL": " (by hand, or out of memory)", "SIGSEGV": " (a fault in native code)"}
    return f"was ended by {name}{hint.get(name, '')}"


def ran_out_of_gpu_memory(failure: Failed | None) -> bool:
    """Whether a script's exception is torch's word that a GPU has no memory left: no accident, but one with advice."""
    return failure is not None and "CUDA out of memory" in failure.message


def advice(cause: str) -> str:
    """What may help against a cause, as a sentence; "" where nothing general can be said."""
    for words, text in _ADVICE.items():
        if words in cause:
            return text
    return ""


def _as_exit_code(status: int) -> int:
    return status if status > 0 else 128 - status if status < 0 else 1


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """Why the session ends, since when, and when patience ends; times are of the monotonic clock."""

    reason: str
    asked_at_s: float
    grace_s: float
    at_once: bool = False

    @property
    def deadline_s(self) -> float:
        """When the child is ended by force."""
        return self.asked_at_s if self.at_once else self.asked_at_s + self.grace_s

    def left_s(self, now_s: float) -> float:
        """Seconds until then."""
        return max(0.0, self.deadline_s - now_s)


def on_signal(number: int, now_s: float, grace_s: float, current: StopRequest | None) -> StopRequest:
    """The stop request after a signal: the first asks, a SIGINT that comes later ends at once.

    Another signal than SIGINT may come twice without impatience in it: schedulers repeat theirs.
    """
    name = signal.Signals(number).name
    if current is None:
        return StopRequest(reason=name, asked_at_s=now_s, grace_s=grace_s)
    if number == signal.SIGINT:
        return StopRequest(reason=current.reason, asked_at_s=now_s, grace_s=0.0, at_once=True)
    return current
