"""A stop file: for those who can touch a file and nothing else."""

from __future__ import annotations

import contextlib
import os

from survivor.notices import Notice, View


class StopFile:
    """Looks whether a file is there; it is removed when it was seen, so that the next session runs.

    Args:
        path: of the file.
    """

    every_s = 1.0

    def __init__(self, path: str) -> None:
        self._path = path

    def look(self, _view: View) -> Notice | None:
        """A notice when the file is there."""
        if not os.path.lexists(self._path):
            return None
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        return Notice(reason=f"stop file {self._path}")
