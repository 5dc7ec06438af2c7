"""Why the session is going to end, until when, and what has to happen before."""

from __future__ import annotations

from collections.abc import Callable

from survivor.notices import Notice, View
from survivor.pulse import Pulse
from survivor.supervisor import policy
from survivor.supervisor.keeper import Keeper
from survivor.supervisor.policy import StopRequest

#: How often a child that was killed is looked at until it is gone (a hung mount can keep it a while).
_KILLED_POLL_S = 0.05
#: After the end of the grace period a write that is under way gets so long.
_LAST_S = 2.0
#: What is kept of a time limit at least, or the grace period, where that is shorter; and at most, or the grace period.
_LEAST_MARGIN_S, _MOST_MARGIN_S = 5.0, 600.0


class Stopping:
    """The wish that the session end, and its deadlines.

    Args:
        grace_s: seconds from a signal to the end.
        keeper: tells how long writing takes.
        pulse: tells how far apart safe points are.
        clock: monotonic seconds.

    Attributes:
        request: the wish; None as long as there is none.
    """

    def __init__(self, grace_s: float, keeper: Keeper, pulse: Pulse, clock: Callable[[], float]) -> None:
        self._grace_s, self._keeper, self._pulse, self._clock = grace_s, keeper, pulse, clock
        self.request: StopRequest | None = None

    def on_signal(self, number: int) -> bool:
        """A signal has come; whether it is the first wish."""
        return self._wish(policy.on_signal(number, self._clock(), self._grace_s, self.request))

    def on_notice(self, notice: Notice) -> bool:
        """A notice of the end has come; whether it is the first wish."""
        if self.request is not None:
            return False
        grace_s = self._grace_s if notice.left_s is None else notice.left_s
        return self._wish(StopRequest(reason=notice.reason, asked_at_s=self._clock(), grace_s=grace_s))

    def _wish(self, request: StopRequest) -> bool:
        first, self.request = self.request is None, request
        return first

    @property
    def reason(self) -> str:
        """Why; "" if there is no wish."""
        return self.request.reason if self.request else ""

    def view(self, pid: int) -> View:
        """What sources of notices are told; may be called from any thread."""
        newest = self._keeper.newest
        return View(
            pid=pid,
            margin_s=self._margin_s(),
            state_bytes=newest.size_bytes if newest else 0,
            free_bytes=self._keeper.free_bytes,
        )

    def _margin_s(self) -> float:
        """Time to the next safe point, and to write what is there then, by this session's own figures."""
        margin_s = 1.5 * self._pulse.read().longest_s + 2 * self._keeper.estimate_s() + 0.25
        most_s = max(self._grace_s, _MOST_MARGIN_S)
        return min(max(margin_s, min(self._grace_s, _LEAST_MARGIN_S)), most_s)

    # ------------------------------------------------------------------ deadlines

    def presses(self, *, saved_last: bool) -> bool:
        """Whether the newest snapshot must be written now: it is the last one, or no newer one may come in time."""
        if self.request is None:
            return False
        return saved_last or self._clock() >= self._emergency_at_s(self.request)

    def _emergency_at_s(self, request: StopRequest) -> float:
        return request.deadline_s - max(1.0, 2 * self._keeper.estimate_s())

    @property
    def child_is_overdue(self) -> bool:
        """Whether the child is to be ended by force."""
        return self.request is not None and self.request.left_s(self._clock()) == 0

    def left_s(self, began_s: float) -> float | None:
        """Seconds for what is left to write, of something that began then; None for as long as it takes."""
        if self.request is None:
            return None
        if self.request.at_once:
            return 0.0
        return max(0.0, max(self.request.deadline_s, began_s + _LAST_S) - self._clock())

    def patience_s(self) -> float | None:
        """How long to wait for something to happen; None if no time of its own has to be kept."""
        if self.request is None:
            return None
        now_s = self._clock()
        left_s = [self.request.left_s(now_s)]
        if (before_s := self._emergency_at_s(self.request) - now_s) > 0:
            left_s.append(before_s)
        return max(_KILLED_POLL_S, min(left_s))
