"""Hangs, seen from outside: the child's pulse stands still for many times the usual, and nothing is being computed.

A process that starts, replays, or compiles its first steps has no pulse yet and is not judged. One that evaluates or
loads for long uses a processor, and is given time; so is one that is stopped, or in front of a terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from survivor.pulse import Pulse
from survivor.shield import STACKS_SIGNAL

#: Without an order of the user's: so many times the longest gap between two safe points, but at least so long.
_FACTOR = 20.0
_LEAST_S = 300.0
#: Share of a processor below which nothing is being computed.
_IDLE = 0.03
#: The first iterations compile, tune and fill caches.
_LEARN_BEATS = 3
_LOOK_S = 5.0
_AWAY_FACTOR = 5.0


class HangWatch:
    """Judges one child.

    Args:
        pid: the child.
        pulse: its pulse.
        after_s: silence that is a hang in any case; None judges by what was usual; infinite: never.
        clock: monotonic seconds.
    """

    def __init__(self, pid: int, pulse: Pulse, after_s: float | None, clock: Callable[[], float]) -> None:
        self._pid, self._pulse, self._after_s, self._clock = pid, pulse, after_s, clock
        self._count = -1
        self._since_s = self._looked_s = 0.0
        self._cpu: tuple[float, float] | None = None
        self._terminal = after_s is None and sys.stdin is not None and _is_terminal(0)

    @property
    def patience_s(self) -> float:
        """Seconds to the next look."""
        return _LOOK_S if self._after_s is None else min(_LOOK_S, self._after_s / 4)

    def silence_s(self) -> float:
        """Seconds without a sign of life, if that is a hang; 0 otherwise."""
        beats, now_s = self._pulse.read(), self._clock()
        # whoever was not looking, because he was stopped himself (Ctrl-Z), can't tell what was missed
        away, self._looked_s = now_s - self._looked_s > _AWAY_FACTOR * self.patience_s, now_s
        if beats.count != self._count or away or _is_stopped(self._pid):
            self._count, self._since_s, self._cpu = beats.count, now_s, None
            return 0.0
        silence_s = now_s - self._since_s
        if beats.count < _LEARN_BEATS or self._terminal:
            return 0.0
        if self._after_s is not None:
            return silence_s if silence_s > self._after_s else 0.0
        if self._cpu is None:
            # only now: finding all the child's processes means reading the whole of /proc
            if silence_s > _LOOK_S / 2:
                self._cpu = now_s, _cpu_s(self._pid)
            return 0.0
        if silence_s <= max(_LEAST_S, _FACTOR * beats.longest_s):
            return 0.0
        began_s, used_s = self._cpu
        return silence_s if _cpu_s(self._pid) - used_s < _IDLE * (now_s - began_s) else 0.0


def print_stacks(pid: int) -> None:
    """Have a child, and what it has forked, print the stack of every thread to standard error."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            if _catches(each.pid, STACKS_SIGNAL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, STACKS_SIGNAL)


def _catches(pid: int, number: int) -> bool:
    for line in _status(pid):
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _is_stopped(pid: int) -> bool:
    return any(line.startswith("State:") and line.split()[1] in "Tt" for line in _status(pid))


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    total = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                total += times.user + times.system
    return total


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
