"""Which checkpoints stay: pure decisions, no files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from survivor.checkpoint.reading import CheckpointInfo
from survivor.errors import UsageError

_BEST = re.compile(r"(min|max):(.{1,200})", re.DOTALL)
_ADVICE = "For example: --keep 3 --keep-best min:val_loss"


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many checkpoints stay.

    Attributes:
        keep: so many of the newest good ones; at least 1.
        hourly: the newest of each of so many hours that have one.
        best: for each of these, the one with the lowest or highest metric: ``"min:val_loss"``,
            ``"max:accuracy"``.
    """

    keep: int = 3
    hourly: int = 24
    best: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ``UsageError`` with everything that is wrong."""
        wrong = problems(self.keep, self.hourly, self.best)
        if wrong:
            raise UsageError("; ".join(wrong), advice=_ADVICE)


def problems(keep: int, hourly: int, best: Sequence[str]) -> list[str]:
    """Return what is wrong with these settings, a sentence each."""
    wrong = []
    if keep < 1:
        wrong.append(f"--keep is {keep}: it must be at least 1, the last checkpoint always stays")
    if hourly < 0:
        wrong.append(f"--keep-hourly is {hourly}: it can't be negative")
    wrong += [f"--keep-best is {spec!r}, not min:NAME or max:NAME" for spec in best if not _BEST.fullmatch(spec)]
    return wrong


def is_goal(spec: str) -> bool:
    """Whether this is ``min:NAME`` or ``max:NAME``."""
    return _BEST.fullmatch(spec) is not None


def goal(spec: str) -> tuple[int, str]:
    """Return 1 (lowest) or -1 (highest) and the metric's name.

    Raises:
        UsageError: ``spec`` is not ``min:NAME`` or ``max:NAME``.
    """
    match = _BEST.fullmatch(spec)
    if match is None:
        raise UsageError(f"{spec!r} is not min:NAME or max:NAME", advice=_ADVICE)
    return (1 if match[1] == "min" else -1), match[2]


def kept(infos: Sequence[CheckpointInfo], policy: Retention) -> set[str]:
    """Return the names that stay, of good checkpoints given in their order, oldest first."""
    names = {info.name for info in infos[-policy.keep :]}
    hours: dict[int, str] = {}
    for info in infos:
        hours[int(info.time // 3600)] = info.name
    names.update(name for _, name in sorted(hours.items())[-policy.hourly :] if policy.hourly)
    for spec in policy.best:
        found = best(infos, spec)
        if found is not None:
            names.add(found.name)
    return names


def best(infos: Sequence[CheckpointInfo], spec: str) -> CheckpointInfo | None:
    """Return the checkpoint with the lowest or highest metric (the earliest of equals), if any has it.

    Raises:
        UsageError: ``spec`` is not ``min:NAME`` or ``max:NAME``.
    """
    sign, name = goal(spec)
    having = [info for info in infos if not math.isnan(info.metrics.get(name, math.nan))]
    return min(having, key=lambda info: sign * info.metrics[name], default=None)
