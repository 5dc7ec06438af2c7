"""CPU time: beyond a soft limit the kernel sends SIGXCPU to the training process alone, and at the hard one SIGKILL."""

from __future__ import annotations

import resource
from collections.abc import Callable

import psutil

from survivor.notices import Notice, View


class CpuTime:
    """Looks at the CPU time that the training process has used.

    Args:
        limit: the soft limit in seconds, -1 for none.
        used: seconds of CPU time that a process has used.
    """

    every_s = 2.0

    def __init__(self, limit: int | None = None, used: Callable[[int], float] | None = None) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_CPU)[0] if limit is None else limit
        self._used = used or _used

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to watch."""
        return self._limit != resource.RLIM_INFINITY

    def look(self, view: View) -> Notice | None:
        """A notice when no more than the margin is left."""
        if not view.pid or not self.is_limited:
            return None
        left_s = self._limit - self._used(view.pid)
        if left_s > view.margin_s + self.every_s:
            return None
        return Notice(reason=f"the limit of {self._limit} s of CPU time (SIGXCPU)", left_s=max(1.0, left_s))


def _used(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error as error:
        raise ProcessLookupError(pid) from error
    return float(times.user + times.system)
