"""The contents of the files that a script has written, carried with a checkpoint and put back with it.

A best model that is overwritten after the checkpoint, and a log that is not on this machine at all, must be
found as they were at the checkpoint. Small files are carried whole; one that did not change since the last
checkpoint costs its pack nothing. Bigger ones are named, and ``--carry PATTERN`` takes them along too.

A job folder may have been written by others, so what it says of files is not believed blindly: a path is
below the working folder or the script's folder, has no hidden part and no link in it, and is no code. A
file that is in the way, and that is older than the checkpoint, is renamed and not overwritten; what lost work
has left in the place of one is kept in a folder that is named.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from survivor.checkpoint.snapshot import Blob

SMALL_BYTES = 8 << 20
_ALL_BYTES = 32 << 20
_MOST_BYTES = 2 << 30
_MOST_FILES = 200
PREFIX = "files/"
#: Never put back: what Python or a shell might run.
_CODE = frozenset(
    ".py .pyc .pyi .pyx .so .pth .sh .bash .zsh .ipynb .toml .cfg .exe .dll .dylib .egg .whl .jar .pl .rb .js".split()
)

_patterns: tuple[str, ...] = ()
_enabled = True


def configure(patterns: Iterable[str], *, enabled: bool) -> None:
    """What the user asked for, once per process."""
    global _patterns, _enabled
    _patterns, _enabled = tuple(patterns), enabled


class Carrier:
    """Collects and puts back.

    Args:
        root: the script's folder.
        home: the working folder as it was before the script's first line.
        warn: tells the user a line of warning, once per text.
        note: tells the user a line.
    """

    def __init__(
        self, root: Path, home: Path, warn: Callable[[str], None], note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._root, self._home = root, home
        self.warn, self._note = warn, note
        self._kept = ""  # folder with what stood in the place of files that were put back
        self._read: dict[str, tuple[tuple[int, int, int], bytes]] = {}

    def collect(self, paths: Iterable[str]) -> tuple[list[list[Any]], dict[str, Blob]]:
        """What a document says of the files, ``[[base, path, size], …]``, and the blobs ``files/0`` …"""
        entries: list[list[Any]] = []
        blobs: dict[str, Blob] = {}
        total = 0
        for path in sorted(paths) if _enabled else ():
            place = self._place(path)
            if place is None or len(entries) >= _MOST_FILES or not os.path.isfile(path) or os.path.islink(path):
                continue
            size = os.path.getsize(path)
            asked = any(fnmatch.fnmatch(name, p) for p in _patterns for name in (place[1], os.path.basename(path)))
            if (not asked and (size > SMALL_BYTES or total + size > _ALL_BYTES)) or total + size > _MOST_BYTES:
                self.warn(
                    f"{place[1]} ({size / 1e6:.0f} MB) is not carried with the checkpoints: on another machine it "
                    f"would be missing (--carry '{place[1]}' takes it along, --no-carry carries no file)"
                )
                continue
            data = self._content(path)
            name = f"{PREFIX}{len(entries)}"
            entries.append([*place, len(data)])
            blobs[name] = Blob(name=name, dtype="U8", shape=(len(data),), data=memoryview(data))
            total += len(data)
        return entries, blobs

    def put_back(self, entries: Any, blobs: Mapping[str, Blob], since: float) -> list[str]:
        """Make each file what it was; returns their paths here.

        Args:
            entries: of a checkpoint's document.
            blobs: of the checkpoint.
            since: when the checkpoint was made, in seconds since 1970.
        """
        done = []
        for number, entry in enumerate(entries if _enabled and isinstance(entries, list) else []):
            path = self.local(*entry[:2]) if isinstance(entry, list) and len(entry) == 3 else None
            blob = blobs.get(f"{PREFIX}{number}") if path is not None else None
            if path is not None and blob is not None:
                self._make(path, bytes(blob.data), since)
                done.append(path)
        if self._kept:
            self._note(f"files are put back as they were at the checkpoint; what was there is kept in {self._kept}")
        return done

    def local(self, base: Any, name: Any) -> str | None:
        """Where a carried file belongs on this machine; None where nothing may be put."""
        if base not in ("cwd", "script") or not isinstance(name, str):
            return None
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or any(part.startswith(".") for part in parts) or "\0" in name:
            return None
        if PurePosixPath(name).suffix.lower() in _CODE:
            return None
        folder = self._base(base)
        path = folder.joinpath(*parts)
        if any(place.is_symlink() for place in (path, *path.parents) if folder in place.parents):
            return None
        return str(path)

    def _place(self, path: str) -> tuple[str, str] | None:
        """A path as a document names it; None for one that could not be put back."""
        for base in ("cwd", "script"):
            folder = str(self._base(base))
            if path.startswith(folder.rstrip("/") + "/"):
                name = path[len(folder.rstrip("/")) + 1 :]
                return (base, name) if self.local(base, name) is not None else None
        return None

    def _base(self, base: str) -> Path:
        return self._home if base == "cwd" else self._root

    def _content(self, path: str) -> bytes:
        state = os.stat(path)
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        data = _read_file(path)
        self._read[path] = (stamp, data)
        return data

    def _make(self, path: str, data: bytes, since: float) -> None:
        with contextlib.suppress(OSError):
            if os.path.getsize(path) == len(data) and _read_file(path) == data:
                return
        try:
            if os.path.lexists(path) and os.path.getmtime(path) < since and not self._begins_with(path, data):
                os.rename(path, f"{path}.kept-by-survivor")
                self.warn(f"{path} was not what the job had left: it is kept as {path}.kept-by-survivor")
            self._keep(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                os.ftruncate(fd, len(data))
            finally:
                os.close(fd)
        except OSError as error:
            self.warn(f"{path} can't be put back as it was at the checkpoint: {error}")

    def _keep(self, path: str) -> None:
        """Copy what will be replaced: most often lost work, but another program may have added to the file too."""
        if os.path.isfile(path):
            self._kept = self._kept or tempfile.mkdtemp(prefix="survivor-kept-")
            fd = os.open(
                os.path.join(self._kept, f"{len(os.listdir(self._kept))}-{os.path.basename(path)}"),
                os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                0o600,
            )
            with os.fdopen(fd, "wb") as copy:
                copy.write(_read_file(path))

    @staticmethod
    def _begins_with(path: str, data: bytes) -> bool:
        """Whether only something was added behind what the checkpoint knew."""
        return os.path.isfile(path) and _read_file(path, len(data)) == data


def _read_file(path: str, size: int = -1) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    with os.fdopen(fd, "rb") as file:
        return file.read(size)
