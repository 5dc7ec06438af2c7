"""What the supervisor says: one line for what happened, and the next command to type."""

from __future__ import annotations

from dataclasses import dataclass

from survivor import errors
from survivor.channel import Failed, Lost, Persisted, Ready, Refused, Saved
from survivor.errors import CrashLoopError, JobRunningError, SurvivorError
from survivor.notices import Notice
from survivor.supervisor import policy
from survivor.supervisor.console import size_text, time_text
from survivor.supervisor.options import RunOptions
from survivor.supervisor.policy import Verdict


@dataclass(kw_only=True)
class Newest:
    """The newest durable checkpoint, as far as the session has seen; ``saved_at`` in seconds since 1970.

    A checkpoint of step 0 holds how the script started, so that it starts the same way again; it is no
    training that could be lost, and the user is not told of it as a place to go on from.
    """

    step: int = 0
    position: str = ""
    checkpoint: str = ""
    saved_at: float = 0.0

    def note(self, message: Ready | Saved | Persisted, saved_at: float) -> None:
        """Take note of a checkpoint that a child has made or continues from."""
        self.step = max(self.step, message.step)
        self.position = message.position if message.step else ""
        self.checkpoint, self.saved_at = message.checkpoint, saved_at


def new_job(options: RunOptions, folder: str) -> str:
    """The first session begins."""
    return f"{options.job}: new job in {folder}"


def continuing(options: RunOptions, message: Ready, now: float) -> str:
    """A child goes on from a checkpoint; ``now`` in seconds since 1970."""
    if message.step == 0:
        return f"{options.job}: starting again from the beginning, as it started before"
    age = time_text(now - message.saved_at)
    where = message.position or "the beginning"
    return f"{options.job}: continuing at {where} (step {message.step}, saved {age} ago)"


def stopped(
    options: RunOptions,
    reason: str,
    final: Saved | Persisted | None,
    newest: Newest,
    now: float,
    *,
    spool: str = "",
) -> str:
    """The session ends before the job does; ``spool`` is where the checkpoint lies if the store did not take it."""
    if final is not None:
        size = size_text(final.size_bytes)
        what = f"saved at {final.position} (step {final.step}, {size} in {final.seconds:.2f} s)"
    elif newest.step:
        age = time_text(now - newest.saved_at)
        what = (
            f"stopped before it could save again; the newest checkpoint is {newest.position} "
            f"(step {newest.step}, {age} old)"
        )
    else:
        what = "stopped before there was anything to save"
    if spool:
        what += f" in {spool}, since the store did not take it; the next session on this machine brings it there"
    return f"{options.job}: {reason}: {what}\n{options.job}: go on with: {options.command}"


def restarting(options: RunOptions, verdict: Verdict, position: str) -> str:
    """The child ended by accident and is started again."""
    wait = f" in {time_text(verdict.delay_s)}" if verdict.delay_s else ""
    where = f"from {position}" if position else "from the beginning"
    return f"{options.job}: the training process {verdict.cause}; starting again {where}{wait}"


def crash_loop(options: RunOptions, cause: str, position: str) -> CrashLoopError:
    """Too many accidents in a row."""
    where = f" beyond {position}" if position else ""
    return CrashLoopError(
        f"{options.job}: the training process {cause}, with no progress{where} "
        f"and no restart left (--max-restarts {options.max_restarts})",
        advice=f"{policy.advice(cause)} When the cause is mended, go on with: {options.command}".lstrip(),
    )


def refused(options: RunOptions, message: Refused) -> SurvivorError:
    """The child's own error of survivor, as it was raised there."""
    cls = getattr(errors, message.error_type, SurvivorError)
    error = cls(f"{options.job}: {message.message}", advice=message.advice)
    assert isinstance(error, SurvivorError)
    return error


def hung(silence_s: float) -> str:
    """A child that hangs, as a cause."""
    return f"hung: no safe point and nothing computed for {time_text(silence_s)}"


def notice(options: RunOptions, found: Notice) -> str:
    """A notice, with the time that is left."""
    left = "" if found.left_s is None else f", {time_text(found.left_s)} left"
    what = "saving, then this session ends" if found.ends else "saving what there is"
    return f"{options.job}: {found.reason}{left}: {what}"


def lost(message: Lost) -> Refused:
    """Another session has the job: nothing more of this one counts."""
    error = JobRunningError(message.reason, advice=message.advice)
    return Refused(
        error_type=type(error).__name__, message=str(error), advice=error.advice, exit_code=error.exit_code
    )


def save_failed(options: RunOptions, reason: str, newest: Newest, now: float, spool: str) -> str:
    """The store took no checkpoint: what is at risk, since when (``now`` in seconds since 1970), and what is done."""
    since = f"what came since {newest.position} (step {newest.step}, saved {time_text(now - newest.saved_at)} ago)"
    risk = since if newest.position else "all that was trained"
    return (
        f"{options.job}: could not save ({reason}); training goes on; {risk} is not in the store, and "
        f"until that takes checkpoints again they go to {spool}"
    )


def finished(options: RunOptions, session: int) -> str:
    """The job is done, just now."""
    return f"{options.job}: finished{'' if session == 1 else f' after {session} sessions'}"


def was_finished(options: RunOptions) -> str:
    """The job is done already."""
    return f"{options.job}: is finished, nothing to do (--fresh starts over and keeps the old folder aside)"


def failed(options: RunOptions, exit_code: int, newest: Newest, failure: Failed | None) -> str:
    """The program ended with an error of its own."""
    kept = f"; its newest checkpoint is {newest.position}" if newest.step else ""
    hint = ""
    if policy.ran_out_of_gpu_memory(failure):
        hint = "\nthe GPU ran out of memory: a smaller batch needs less, and so, often, does "
        hint += "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
    return f"{options.job}: the script ended with code {exit_code}{kept}{hint}"
