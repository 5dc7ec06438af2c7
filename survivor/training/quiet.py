"""Silence during the replay: what the script printed on its way to the checkpoint stands in the output already."""

from __future__ import annotations

import sys
from typing import Any


class _Muted:
    """A text stream that passes everything on but what is written while it is silent."""

    def __init__(self, stream: Any) -> None:
        self.__dict__["_stream"] = stream
        self.__dict__["_silent"] = True

    def write(self, text: str) -> int:
        """Drop or pass on; returns the number of characters, as streams do."""
        if self._silent:
            return len(text)
        return int(self._stream.write(text))

    def writelines(self, lines: Any) -> None:
        """Drop or pass on."""
        if not self._silent:
            self._stream.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stream, name, value)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


class Quiet:
    """Mutes standard output from its making to `end`; standard error stays, so that nothing that fails is hidden."""

    def __init__(self) -> None:
        self._muted = _Muted(sys.stdout)
        sys.stdout = self._muted

    def end(self) -> None:
        """Let output through again, also for those who hold the muted stream."""
        self._muted.__dict__["_silent"] = False
        if sys.stdout is self._muted:
            sys.stdout = self._muted._stream
