"""A folder for each run: a copy of the working folder, so that no run sees what another has written.

Source files and small files are copied, large ones (data) linked. What a script writes to a path of its own outside
of its working folder is shared by all runs, as it would be by all runs of the user's.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_COPIED_BYTES = 1 << 20
_MOST_ENTRIES = 20_000
_LEFT_OUT = frozenset([".git", "__pycache__", "node_modules", "survivor-jobs", ".mypy_cache", ".pytest_cache", ".tox"])


@dataclass(frozen=True)
class Workplace:
    """One run's folders.

    Attributes:
        root: everything of the run.
        work: its copy of the working folder.
        given: names of the files that were there before.
    """

    root: Path
    work: Path
    given: frozenset[str]

    @classmethod
    def make(cls, root: Path, source: Path) -> Workplace:
        """Copy ``source``."""
        work = root / "work"
        work.mkdir(parents=True)
        _mirror(source, work, set(), root)
        return cls(root, work, frozenset(_names(work)))

    def written(self) -> dict[str, Path]:
        """The files that the run has made, by their names below the working folder."""
        return {name: self.work / name for name in _names(self.work) if name not in self.given}


def _names(folder: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in files]
    return sorted(found)


def _mirror(source: Path, target: Path, entries: set[str], own: Path) -> None:
    for entry in os.scandir(source):
        entries.add(entry.path)
        place = target / entry.name
        path = Path(entry.path)
        if entry.name in _LEFT_OUT or path in own.parents or path == own:
            continue
        if entry.is_dir(follow_symlinks=False):
            if (path / "pyvenv.cfg").exists():
                continue
            if len(entries) > _MOST_ENTRIES:
                place.symlink_to(path)
                continue
            place.mkdir()
            _mirror(path, place, entries, own)
        elif entry.is_file() and (path.suffix == ".py" or entry.stat().st_size <= _COPIED_BYTES):
            shutil.copy2(path, place)
        elif entry.is_file() or entry.is_symlink():
            place.symlink_to(os.path.realpath(path))
