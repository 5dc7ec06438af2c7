"""A folder for each run: a copy of the working folder, so that no run sees what another has written.

Source files and small files are copied for each run. Large ones (data) are copied once for all runs, as far as
there is room, and linked; one that the plain script turns out to write to is copied for each run after all. What is
too large even for that is a link to the user's own file, which the runs may read only (`survivor.proof.preload`).
What a script writes to a path of its own outside of its working folder is shared by all runs, as it would be by all
runs of the user's.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_COPIED_BYTES = 1 << 20
#: What is copied of large files, in all; and the share of the free space that this may take.
_MOST_LARGE_BYTES = 4 << 30
_FREE_SHARE = 0.25
_MOST_ENTRIES = 20_000
_LEFT_OUT = frozenset([".git", "__pycache__", "node_modules", "survivor-jobs", ".mypy_cache", ".pytest_cache", ".tox"])


class Large:
    """The large files of a working folder: each copied once, for all runs.

    Args:
        folder: gets the copies; made when it's needed.
        most_bytes: what may be copied in all.

    Attributes:
        originals: files and folders that there was no room for: runs have links to them.
    """

    def __init__(self, folder: Path, most_bytes: int | None = None) -> None:
        self._folder = folder
        self._left_bytes = most_bytes
        self._copies: dict[str, tuple[Path, tuple[int, int]]] = {}
        self._private: set[str] = set()
        self._lock = threading.Lock()
        self.originals: set[str] = set()

    def bring(self, path: str, place: Path) -> None:
        """Make a large file be at a place of a run."""
        with self._lock:
            if path in self._private:
                shutil.copy2(self._copies[path][0], place)
                return
            if path not in self._copies and not self._copy(path):
                self.originals.add(os.path.realpath(path))
            place.symlink_to(self._copies[path][0] if path in self._copies else os.path.realpath(path))

    def link(self, path: str, place: Path) -> None:
        """Make what isn't copied at all be at a place of a run."""
        self.originals.add(os.path.realpath(path))
        place.symlink_to(os.path.realpath(path))

    def settle(self) -> bool:
        """From now on each run has a copy of its own of what a run has written to; whether there is such a file."""
        with self._lock:
            shared = {path: each for path, each in self._copies.items() if path not in self._private}
            changed = [path for path, (copy, was) in shared.items() if _look(copy) != was]
            for path in changed:
                copy = self._copies[path][0]
                shutil.copy2(path, copy)
                self._private.add(path)
            return bool(changed)

    def _copy(self, path: str) -> bool:
        if self._left_bytes is None:
            self._folder.mkdir(parents=True)
            self._left_bytes = min(_MOST_LARGE_BYTES, int(shutil.disk_usage(self._folder).free * _FREE_SHARE))
        size = os.path.getsize(path)
        if size > self._left_bytes:
            return False
        self._left_bytes -= size
        self._folder.mkdir(parents=True, exist_ok=True)
        copy = self._folder / f"{len(self._copies)}-{os.path.basename(path)}"
        shutil.copy2(path, copy)
        self._copies[path] = copy, _look(copy)
        return True


@dataclass(frozen=True)
class Workplace:
    """One run's folders.

    Attributes:
        root: everything of the run.
        work: its copy of the working folder.
        given: the files that were there before: size in bytes and time, by name.
    """

    root: Path
    work: Path
    given: Mapping[str, tuple[int, int]]

    @classmethod
    def make(cls, root: Path, source: Path, large: Large | None = None) -> Workplace:
        """Copy ``source``."""
        work = root / "work"
        work.mkdir(parents=True)
        _mirror(source, work, set(), root, large or Large(root / "large"))
        return cls(root, work, {name: _look(work / name) for name in _names(work)})

    def written(self) -> dict[str, Path]:
        """The files that the run has made or changed, by their names below the working folder."""
        return {n: self.work / n for n in _names(self.work) if self.given.get(n) != _look(self.work / n)}


def _look(path: Path) -> tuple[int, int]:
    state = path.lstat()
    return state.st_size, state.st_mtime_ns


def _names(folder: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in files]
    return sorted(found)


def _mirror(source: Path, target: Path, entries: set[str], own: Path, large: Large) -> None:
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
                large.link(entry.path, place)
                continue
            place.mkdir()
            _mirror(path, place, entries, own, large)
        elif entry.is_file() and (path.suffix == ".py" or entry.stat().st_size <= _COPIED_BYTES):
            shutil.copy2(path, place)
        elif entry.is_file():
            large.bring(entry.path, place)
        elif entry.is_symlink():
            large.link(entry.path, place)
