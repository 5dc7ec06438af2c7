"""Time limits: the user's, and those that Colab, Kaggle and SLURM set.

What is left is counted so that saving still fits in: the margin comes from the session's own figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from survivor.notices import Notice, View

_HOUR_S = 3600.0
#: Half of a free Colab's life and more is gone by then; who has a longer one says so with --time-limit.
_COLAB_S, _COLAB_LONG_S = 12 * _HOUR_S, 24 * _HOUR_S
_KAGGLE_S, _KAGGLE_TPU_S = 12 * _HOUR_S, 9 * _HOUR_S


class TimeLimit:
    """The end of a session at a certain time.

    Args:
        end_at: seconds since 1970, by ``clock``.
        name: of the limit, in words.
        clock: seconds since 1970.
    """

    def __init__(self, end_at: float, name: str, clock: Callable[[], float] = time.time) -> None:
        self.end_at, self.name, self._clock = end_at, name, clock

    @property
    def every_s(self) -> float:
        """Often when the end is near, seldom when it is far."""
        return min(10.0, max(0.05, (self.end_at - self._clock()) / 20))

    def look(self, view: View) -> Notice | None:
        """A notice when no more than the margin is left."""
        left_s = self.end_at - self._clock()
        return Notice(reason=self.name, left_s=max(0.0, left_s)) if left_s <= view.margin_s else None


def of_user(limit_s: float, clock: Callable[[], float] = time.time) -> TimeLimit:
    """``--time-limit``, counted from now."""
    return TimeLimit(clock() + limit_s, "time limit", clock)


def of_place(
    environ: Mapping[str, str],
    *,
    boot_time: Callable[[], float] = psutil.boot_time,
    clock: Callable[[], float] = time.time,
    root: Path = Path("/"),
) -> TimeLimit | None:
    """The limit that this place sets by itself, if it is known to set one."""
    if (end := environ.get("SLURM_JOB_END_TIME", "")).isdecimal():
        return TimeLimit(float(end), "the end of the SLURM job's time", clock)
    if environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        limit_s = _KAGGLE_TPU_S if environ.get("TPU_WORKER_ID") or environ.get("TPU_NAME") else _KAGGLE_S
        return TimeLimit(boot_time() + limit_s, f"Kaggle's limit of {limit_s / _HOUR_S:.0f} h", clock)
    if environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        return None  # its runtimes have no such limit
    if environ.get("COLAB_RELEASE_TAG") or (root / "var/colab/hostname").exists():
        # counted from the start of the machine; one that is older has a longer life
        age_s = clock() - boot_time()
        limit_s = _COLAB_S if age_s < _COLAB_S - _HOUR_S / 2 else _COLAB_LONG_S
        return TimeLimit(boot_time() + limit_s, f"Colab's limit of {limit_s / _HOUR_S:.0f} h", clock)
    return None
