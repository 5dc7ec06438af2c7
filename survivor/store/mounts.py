"""Which file system a path lies on, by the table of mounts; nothing of the mount itself is touched."""

from __future__ import annotations

import os
from pathlib import Path

#: As Colab's ``drive.mount`` shows in the table.
DRIVE = "fuse.drive"


def kind_of(path: str, table: str = "/proc/mounts") -> str:
    """The type of the file system that holds ``path``; "" where it can't be told."""
    path = os.path.abspath(path)
    best, kind = "", ""
    for line in _lines(table):
        _, _, rest = line.partition(" ")
        where, _, rest = rest.partition(" ")
        where = where.replace("\\040", " ").rstrip("/") or "/"
        inside = path == where or path.startswith(where if where == "/" else where + "/")
        if inside and len(where) >= len(best):
            best, kind = where, rest.partition(" ")[0]
    return kind


def of_kind(kind: str, table: str = "/proc/mounts") -> list[str]:
    """Where file systems of this type are mounted."""
    found = [line.split(" ") for line in _lines(table)]
    return [words[1].replace("\\040", " ") for words in found if len(words) > 2 and words[2] == kind]


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
