"""Which checkpoints stay: pure decisions, no files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from survivor.checkpoint.reading import CheckpointInfo
from survivor.errors import UsageError

_BEST = re.compile(r"(min|max):(.{1,200})", re.DOTALL)


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
        wrong = []
        if self.keep < 1:
            wrong.append(f"keep must be at least 1, not {self.keep}: the last checkpoint always stays")
        if self.hourly < 0:
            wrong.append(f"hourly must not be negative: {self.hourly}")
        wrong += [f"{spec!r} is not min:NAME or max:NAME" for spec in self.best if not _BEST.fullmatch(spec)]
        if wrong:
            raise UsageError("; ".join(wrong), advice="For example: --keep 3 --keep-best min:val_loss")


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
    match = _BEST.fullmatch(spec)
    if match is None:
        raise UsageError(
            f"{spec!r} is not min:NAME or max:NAME", advice="For example: --keep-best min:val_loss"
        )
    sign = 1 if match[1] == "min" else -1
    having = [info for info in infos if not math.isnan(info.metrics.get(match[2], math.nan))]
    return min(having, key=lambda info: sign * info.metrics[match[2]], default=None)
