"""Drift: what differs between the job's last session and this one, what is put back, what is told."""

from __future__ import annotations

from survivor.checkpoint.job import SessionRecord
from survivor.checkpoint.repository import Repository
from survivor.errors import JobError
from survivor.supervisor import environment
from survivor.supervisor.console import Console
from survivor.supervisor.environment import Difference
from survivor.supervisor.options import RunOptions


def settle(
    options: RunOptions, repository: Repository, console: Console
) -> tuple[dict[str, str], dict[str, str]]:
    """The fingerprint of this session, and the variables that its children are given to compute as before.

    Raises:
        JobError: the environments differ in what may change the bits, and the user wants that to be an error.
        StoreError: the store can't be read.
    """
    now = environment.fingerprint()
    if options.deterministic:
        now["deterministic"] = "yes"
    sessions = SessionRecord.read_all(repository)
    if not sessions:
        return now, {}
    before = {key: str(value) for key, value in sessions[-1].fingerprint.items()}
    if before.get("deterministic"):  # the job was begun so
        now["deterministic"] = "yes"
    if options.on_drift == "ignore":
        return now, {}
    changes = environment.put_back(before, now)
    effective = environment.after(now, changes)
    drift = environment.differences(before, effective)
    back = [d for d in environment.differences(now, effective) if d not in drift]
    if any(difference.effect != "harmless" for difference in drift):
        text = table(drift, back)
        if options.on_drift == "error":
            raise JobError(
                f"{options.job}: the environment has changed since the last session:\n{text}",
                advice="ways out: put it back as it was, or --on-drift warn to go on; results may then differ",
            )
        console.warn(f"{options.job}: the environment has changed since the last session; results may differ")
        console.block(text)
    elif back:
        console.say(f"{options.job}: the environment is put back as it was in the last session")
        if not options.quiet:
            console.block(table([], back))
    return effective, changes


def table(drift: list[Difference], back: list[Difference]) -> str:
    """One line a difference, what will change the bits first, what was put back last."""
    lines = [str(difference) for difference in drift]
    lines += [f"{'put back':<12}{d.key}: {d.now or 'none'} (here it was {d.before or 'none'})" for d in back]
    return "\n".join(lines)
