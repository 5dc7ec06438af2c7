"""The whole surface that a store has to offer: whole files by name, nothing else.

A name is ``part/part/part`` with parts of ``[A-Za-z0-9._-]``. A store need not rename atomically,
lock, list in order, or list what was written a moment ago; callers never rely on any of it.
``survivor.store.conformance`` is the suite that every implementation passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from survivor.errors import StoreError

#: What ``put`` takes: anything that exposes its bytes without a copy.
Chunk = bytes | bytearray | memoryview

#: Past the page cache (`survivor.store.direct`) no disk wants larger ones; pages of memory are as large.
BLOCK_BYTES = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._-]{0,199}){0,7}")


class AbsentError(StoreError):
    """There is no file of this name (which on a mounted Drive may be a passing state)."""


@dataclass(frozen=True)
class Entry:
    """One file in a listing.

    Attributes:
        name: as given to ``put``.
        size_bytes: its length.
        modified: seconds since 1970 by the store's clock, or None where the store can't tell.
    """

    name: str
    size_bytes: int
    modified: float | None


@dataclass(frozen=True)
class Headed:
    """The chunks of a file whose first bytes tell of all the others (their digests), and so are known last.

    It is an iterable of chunks in their order like any other. A store that can write the beginning of a file last
    takes ``body`` and then ``head``, and so spares reading all the bytes once more.

    Attributes:
        head_bytes: length of the head.
        size_bytes: of the whole file.
        body: all that comes after the head; the memory holds still.
        head: the head, once ``body`` was taken to its end.
    """

    head_bytes: int
    size_bytes: int
    body: Callable[[], Iterator[Chunk]]
    head: Callable[[], bytes]

    def __iter__(self) -> Iterator[Chunk]:
        for _ in self.body():
            pass
        yield self.head()
        yield from self.body()


class Store(Protocol):
    """The whole surface of a store.

    Every method raises ``StoreError`` when the store can't do it, ``AbsentError`` when the name is not there.
    """

    def put(self, name: str, chunks: Iterable[Chunk]) -> int:
        """Write a file as a whole and return its size in bytes; it is durable when this returns.

        A file of that name that was there is replaced. What a failed call leaves behind is either
        nothing, the old file, or a file that its reader can tell from a whole one by size or digest.
        """

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a file unless the name is taken; durable when this returns.

        Returns False, and changes nothing, if the name was taken. Of several callers at once at most one gets
        True, on stores that can promise it at all (a mounted Drive can't).
        """

    def get(self, name: str, offset: int = 0, length: int | None = None) -> memoryview:
        """Return ``length`` bytes from ``offset`` (to the end by default) in fresh, writable memory.

        Raises ``StoreError`` if the file has fewer.
        """

    def size(self, name: str) -> int:
        """Return the length in bytes."""

    def files(self, prefix: str) -> list[Entry]:
        """Return the files directly in folder ``prefix``, in any order; none if there is no such folder."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in ``prefix`` (``""`` is the root), in any order."""

    def delete(self, name: str) -> None:
        """Remove a file; no error if it is not there."""

    def move(self, old: str, new: str) -> None:
        """Rename a folder with all that is in it; an object store copies and deletes."""

    def describe(self) -> str:
        """Return the place in words that a user can type: a folder or a URL."""


def check_name(name: str) -> str:
    """Return ``name`` if it can be a file of a store; raise ``StoreError`` otherwise.

    The pattern leaves no room for ``..``, absolute paths, or a second spelling of one name.
    """
    if not _NAME.fullmatch(name):
        raise StoreError(f"{name[:200]!r} is not a name that a store can hold")
    return name
