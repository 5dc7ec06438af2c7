"""Which lines of the script draw from which random stream: looked at line by line, over a few events only.

This is slow, so it's done in a run of its own, between the last event that was equal and the first that was not.
"""

from __future__ import annotations

import sys
from typing import Any

from survivor.proof.tracing.digest import streams
from survivor.proof.tracing.record import Recorder

_MOST = 500


class LineWatch:
    """Notes a line ``L`` for each line of the script after which a stream stood elsewhere.

    Args:
        recorder: its plan's ``lines`` is the event to begin after.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._begin = recorder.plan["lines"]
        self._on = False
        self._last: dict[str, str] = {}
        self._line: tuple[str, int] | None = None
        self._count = 0

    def install(self) -> None:
        """Begin at the event that the plan names, at the restore, or at once."""
        self._recorder.after_event.append(self._after_event)
        self._recorder.plan["at_restore"] = [self._maybe_start]
        if self._begin == 0 and self._recorder.plan["role"] == "plain":
            self._start()

    def _after_event(self) -> None:
        self._look()
        self._maybe_start()

    def _maybe_start(self) -> None:
        if not self._on and self._recorder.is_ours and self._recorder.events >= self._begin:
            self._start()

    def _start(self) -> None:
        self._on = True
        self._last = streams()
        sys.settrace(self._trace)
        frame = sys._getframe(1)
        while frame is not None:
            if self._recorder.script.owns(frame.f_code.co_filename):
                self._line = self._line or (frame.f_code.co_filename, frame.f_lineno)
                frame.f_trace = self._trace
            frame = frame.f_back  # type: ignore[assignment]

    def _trace(self, frame: Any, _event: str, _argument: Any) -> Any:
        if not self._recorder.script.owns(frame.f_code.co_filename):
            return None
        self._look()
        self._line = (frame.f_code.co_filename, frame.f_lineno)
        return self._trace

    def _look(self) -> None:
        if not self._on or self._count >= _MOST:
            return
        now = streams()
        moved = [name for name in now if now[name] != self._last.get(name)]
        self._last = now
        if moved and self._line is not None:
            self._count += 1
            self._recorder.write({"k": "L", "file": self._line[0], "line": self._line[1], "streams": moved})
