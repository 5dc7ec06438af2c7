"""survivor's own lines: few, on stderr, each with the same prefix."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from survivor.errors import SurvivorError


def _write_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # a terminal that was closed; the run goes on


@dataclass(frozen=True, kw_only=True)
class Console:
    """Where survivor's lines go.

    Attributes:
        quiet: keep plain information back; warnings and errors are shown all the same.
        write: takes whole lines.
    """

    quiet: bool = False
    write: Callable[[str], None] = field(default=_write_stderr)

    def say(self, text: str) -> None:
        """One line of information."""
        if not self.quiet:
            self._put(text)

    def warn(self, text: str) -> None:
        """One line of warning."""
        self._put(f"warning: {text}")

    def error(self, error: SurvivorError) -> None:
        """An error with its advice."""
        self._put(f"error: {error}")
        if error.advice:
            self._put(error.advice)

    def block(self, text: str) -> None:
        """Several lines that belong together, such as a diff."""
        self.write("".join(f"survivor:   {line}\n" for line in text.splitlines()))

    def _put(self, text: str) -> None:
        self.write("".join(f"survivor: {line}\n" for line in text.splitlines()))


def size_text(size_bytes: int) -> str:
    """A size for people: ``"1.2 MB"``."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    """A span of time for people: ``"12 s"``, ``"3 min"``, ``"2 h 5 min"``, ``"3 d"``."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{round(hours / 24)} d"
