"""Files that a script reads from: where they stand.

What is written is the business of `survivor.training.files`. A file that is read line by line is a position
like that of a loop, and so is what stands in memory files.

A text file does not tell its position any more once ``next`` was called on it, as ``for line in file`` does.
So the files that the user's code opens to read text are of a class whose ``next`` is ``readline``; that is
the same but for the time that a line takes.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from survivor.errors import DivergedError

_STANDARD_FDS = 2
#: A text file of a library's that does not tell its position is read to its end to find it, up to this size.
_MOST_BYTES = 16 << 20


class TextFile(io.TextIOWrapper):
    """A text file that always tells its position."""

    def __next__(self) -> str:  # type: ignore[override]  # io.IOBase says bytes
        line = self.readline()
        if not line:
            raise StopIteration
        return line


TextFile.__name__ = TextFile.__qualname__ = "TextIOWrapper"
TextFile.__module__ = "_io"


def open_text(binary: Any, mode: str, encoding: Any = None, errors: Any = None, newline: Any = None) -> TextFile:
    """The text file over a binary one, as ``open`` makes it."""
    try:
        made = TextFile(binary, encoding, errors, newline)
    except BaseException:
        binary.close()
        raise
    made.mode = mode  # type: ignore[misc]  # set by open() itself in the same way
    return made


def handles(kind: type) -> bool:
    """Whether instances of a class are files."""
    return issubclass(kind, io.IOBase)


def parts(file: Any) -> dict[str, Any] | None:
    """Where a file stands that is being read, or what is in a memory file; ``None`` if it is neither.

    Raises:
        OSError: it is one whose position can't be told.
    """
    if file.closed:
        return None
    if isinstance(file, (io.BytesIO, io.StringIO)):
        return {"content": file.getvalue(), "position": file.tell()}
    if not file.readable() or file.writable() or _is_standard(file):
        return None
    if not file.seekable():
        raise OSError("what has come through a pipe does not come again")
    try:
        position = file.tell()
    except OSError:
        position = _find_position(file)
    name = getattr(file, "name", None)
    text = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else None
    return {
        "name": text,
        "path": os.path.abspath(text) if text is not None else None,
        "position": position,
        "text": {key: getattr(file, key, None) for key in ("mode", "encoding", "errors")}
        if isinstance(file, io.TextIOWrapper)
        else None,
    }


def _is_standard(file: Any) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return int(file.fileno()) <= _STANDARD_FDS
    return False


def _find_position(file: Any) -> int:
    if os.fstat(file.fileno()).st_size > _MOST_BYTES:
        raise OSError("the position of a text file that is being iterated can't be told")
    rest = len(file.read())
    file.seek(0)
    whole = len(file.read())
    file.seek(0)
    file.read(whole - rest)
    return int(file.tell())


def same(held: dict[str, Any], file: Any) -> bool:
    """Whether a live file is the one that was being read."""
    if file.closed:
        return False
    if "content" in held:
        return isinstance(file, io.BytesIO if isinstance(held["content"], bytes) else io.StringIO)
    if isinstance(file, io.TextIOWrapper) != (held["text"] is not None) or not file.readable() or file.writable():
        return False
    name = getattr(file, "name", None)
    if not isinstance(name, (str, bytes, os.PathLike)):
        return bool(held["name"] is None)
    text = os.fsdecode(name)
    return bool(text == held["name"]) or os.path.abspath(text) == held["path"]


def restore(held: dict[str, Any], live: Any) -> Any:
    """The file at its position: ``live``, or where that is ``None`` opened again, to read only.

    Raises:
        DivergedError: the file is gone.
    """
    if "content" in held:
        made = live if live is not None else (io.BytesIO() if isinstance(held["content"], bytes) else io.StringIO())
        made.seek(0)
        made.truncate()
        made.write(held["content"])
        made.seek(held["position"])
        return made
    file = live if live is not None else _reopened(held)
    file.seek(held["position"])
    return file


def _reopened(held: dict[str, Any]) -> Any:
    path = held["path"]
    if path is None or not os.path.isfile(path):
        raise DivergedError(
            f"the file {path or 'without a name'} was being read at the checkpoint, and is not there",
            advice="put it back where it was, or start over with --fresh",
        )
    binary = io.BufferedReader(io.FileIO(path, "r"))
    text = held["text"]
    return binary if text is None else open_text(binary, text["mode"] or "r", text["encoding"], text["errors"])
