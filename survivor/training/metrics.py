"""What ``survivor.report`` was given, and whether it was the best so far."""

from __future__ import annotations

import math

from survivor.checkpoint.retention import goal


class Metrics:
    """The metrics of a job, which checkpoints carry along.

    Args:
        keep_best: ``min:NAME`` or ``max:NAME``, as ``--keep-best`` takes them.

    Attributes:
        values: what was last reported, by name.
        best: the best value of each of ``keep_best`` that was reported so far.
        improved: there was a new best since `take_improved` was last called.
    """

    def __init__(self, keep_best: tuple[str, ...]) -> None:
        self.values: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.improved = False
        self._goals = {spec: goal(spec) for spec in keep_best}

    def restore(self, values: dict[str, float], best: dict[str, float]) -> None:
        """Go on from what a checkpoint holds."""
        self.values = dict(values)
        self.best = {spec: float(value) for spec, value in best.items() if spec in self._goals}

    def report(self, values: dict[str, float]) -> None:
        """Note new values, and whether one of them is the best of its kind so far. Only finite ones count."""
        self.values.update(values)
        for spec, (sign, name) in self._goals.items():
            value = values.get(name, math.nan)
            if math.isfinite(value) and sign * value < sign * self.best.get(spec, sign * math.inf):
                self.best[spec] = value
                self.improved = True

    def take_improved(self) -> bool:
        """Whether there was a new best since the last call: the checkpoint that is made now is one to keep."""
        improved, self.improved = self.improved, False
        return improved
