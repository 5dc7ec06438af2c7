"""Filling a file of a folder store that is open for writing: through the page cache, or past it where that pays."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from survivor.store import direct, mounts
from survivor.store.base import BLOCK_BYTES, Chunk, Headed
from survivor.store.operations import Operations

_BATCH = 512  # buffers a writev call; the kernel takes 1024
_WRITE_BYTES = 64 << 20  # bytes a buffer, so that a write to a slow mount returns now and then


class Filler:
    """Writes the bytes of files.

    Attributes:
        direct: whether files go past the page cache; None until the first that is worth it.
    """

    def __init__(self, operations: Operations) -> None:
        self._do = operations
        self.direct: bool | None = None
        self._past_cache = direct.DirectWriter()

    def takes_direct(self, root: str, chunks: Iterable[Chunk]) -> bool:
        """Whether to try this file past the page cache."""
        if not isinstance(chunks, Headed) or chunks.size_bytes < direct.LEAST_BYTES:
            return False
        if chunks.head_bytes % BLOCK_BYTES:
            return False
        if self.direct is None:
            self.direct = mounts.kind_of(root) in direct.FILE_SYSTEMS
        return self.direct

    def fill(self, file: int, chunks: Iterable[Chunk], *, past_cache: bool) -> int:
        """Write all chunks; returns how many bytes.

        Raises:
            OSError: a write failed.
        """
        if not past_cache:
            return self._in_order(file, chunks)
        assert isinstance(chunks, Headed)
        try:
            return self._head_last(file, chunks)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        # a file system that opens such files and does not write them: once more from the beginning
        self.direct = False
        self._do.end_direct(file)
        return self._in_order(file, chunks)

    def _head_last(self, file: int, chunks: Headed) -> int:
        begin = chunks.head_bytes
        # writes that make a file longer wait for one another, and a full disk is better known before
        self._do.allocate(file, chunks.size_bytes)
        done, rest = self._past_cache.write(file, begin, chunks.body(), self._do.write_at)
        self._do.end_direct(file)
        for data, offset in ((rest, begin + done), (chunks.head(), 0)):
            self._write_at(file, memoryview(data), offset)
        return begin + done + len(rest)

    def _write_at(self, file: int, data: memoryview, offset: int) -> None:
        while data.nbytes:
            done = self._do.write_at(file, data, offset)
            if done == 0:
                raise OSError(errno.EIO, "the file takes no more bytes")
            data, offset = data[done:], offset + done

    def _in_order(self, file: int, chunks: Iterable[Chunk]) -> int:
        """Write with few calls and without joining the chunks."""
        size = 0
        batch: list[memoryview] = []
        for chunk in chunks:
            view = memoryview(chunk)
            size += view.nbytes
            for start in range(0, view.nbytes, _WRITE_BYTES):
                batch.append(view[start : start + _WRITE_BYTES])
                if len(batch) == _BATCH:
                    self._flush(file, batch)
        self._flush(file, batch)
        return size

    def _flush(self, file: int, batch: list[memoryview]) -> None:
        pending = batch[::-1]
        batch.clear()
        while pending:
            window = pending[: -_BATCH - 1 : -1]
            done = self._do.write(file, window)
            if done == 0:
                raise OSError(errno.EIO, "the file takes no more bytes")
            while pending and done >= pending[-1].nbytes:
                done -= pending.pop().nbytes
            if done:
                pending[-1] = pending[-1][done:]
