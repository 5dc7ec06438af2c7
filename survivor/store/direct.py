"""Big files past the page cache (``O_DIRECT``): at the speed of the disk, and while their bytes are still being hashed.

Through the page cache a gigabyte took three to twelve times as long here: each page of the cache has to be got first,
and the disk stands idle until ``fsync``. What lies on a page of memory as it will lie on a block of the file goes to
the disk from where it is; all else through a few small buffers.

Things that don't work:

- Large buffers for everything. Getting their memory costs as much as the write.
- One thread. While the next bytes are taken (and hashed, by whoever makes the chunks) the disk would wait.
- On network file systems and FUSE it would be a promise that the server need not keep, and most refuse it: see
  `FILE_SYSTEMS`. Elsewhere what is refused is written in the usual way.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from survivor.store.base import BLOCK_BYTES, Chunk

#: Where it was tried or is known to work; an overlay passes it on to the file system below.
FILE_SYSTEMS = {"ext4", "xfs", "f2fs", "overlay"}
#: From here on it pays.
LEAST_BYTES = 1 << 20
_WRITE_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 20
_BUFFERS = 4
#: One writes while another is being handed over.
_THREADS = 2

#: ``pwrite`` of the caller's: file, bytes, offset; returns how many were taken.
WriteAt = Callable[[int, memoryview, int], int]


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int), ("ndim", ctypes.c_int), ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p), ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p),
    ]  # fmt: skip


def address_of(view: memoryview) -> int:
    """Where the bytes of a (read-only) view lie."""
    buffer = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    try:
        return int(buffer.buf or 0)
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))


class DirectWriter:
    """Writes a file that was opened with ``O_DIRECT``, from ``offset`` on; keeps its buffers for the next one."""

    def __init__(self) -> None:
        self._buffers: list[memoryview] = []

    def write(self, file: int, offset: int, chunks: Iterable[Chunk], write_at: WriteAt) -> tuple[int, bytes]:
        """Write all chunks but what does not fill the last block; they must hold still until this returns.

        Returns:
            How many bytes were written, and the rest, for which the caller has to turn ``O_DIRECT`` off.

        Raises:
            OSError: of the first write that failed; ``EINVAL`` where the file system does not take such writes.
        """
        if not self._buffers:
            self._buffers = [memoryview(mmap.mmap(-1, _BUFFER_BYTES)) for _ in range(_BUFFERS)]
        with ThreadPoolExecutor(_THREADS) as threads:
            stream = _Stream(file, offset, write_at, threads, self._buffers)
            for chunk in chunks:
                view = memoryview(chunk)
                for start in range(0, view.nbytes, _WRITE_BYTES):
                    stream.take(view[start : start + _WRITE_BYTES])
            rest = stream.finish()
        return stream.offset - offset, rest


class _Stream:
    """The file's bytes in their order: what was handed to the threads, and what waits in a buffer for more."""

    def __init__(
        self, file: int, offset: int, write_at: WriteAt, threads: ThreadPoolExecutor, buffers: list[memoryview]
    ) -> None:
        assert offset % BLOCK_BYTES == 0
        self.offset = offset
        self._file, self._write_at, self._threads = file, write_at, threads
        self._buffers = buffers
        self._busy: list[Future[None] | None] = [None] * len(buffers)
        self._filled = self._turn = 0
        self._pending: list[Future[None]] = []

    def take(self, piece: memoryview) -> None:
        """The next bytes."""
        # bytes that lie on a page as they will lie on a block need no buffer, once what came before fills its block
        ahead = (-(self.offset + self._filled)) % BLOCK_BYTES
        if piece.nbytes >= ahead + BLOCK_BYTES and (address_of(piece) + ahead) % BLOCK_BYTES == 0:
            self._put_by(piece[:ahead])
            self._flush()
            whole = (piece.nbytes - ahead) // BLOCK_BYTES * BLOCK_BYTES
            self._submit(piece[ahead : ahead + whole])
            piece = piece[ahead + whole :]
        self._put_by(piece)

    def _put_by(self, piece: memoryview) -> None:
        while piece.nbytes:
            if self._filled == 0 and (busy := self._busy[self._turn]) is not None:
                busy.result()
            buffer = self._buffers[self._turn]
            count = min(piece.nbytes, buffer.nbytes - self._filled)
            buffer[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]
            if self._filled == buffer.nbytes:
                self._flush()

    def _flush(self) -> None:
        if self._filled == 0:
            return
        assert self._filled % BLOCK_BYTES == 0
        self._busy[self._turn] = self._submit(self._buffers[self._turn][: self._filled])
        self._filled, self._turn = 0, (self._turn + 1) % len(self._buffers)

    def _submit(self, view: memoryview) -> Future[None]:
        while len(self._pending) > 2 * _THREADS:  # a disk that refuses is heard before all is handed over
            self._pending.pop(0).result()
        future = self._threads.submit(self._write, view, self.offset)
        self.offset += view.nbytes
        self._pending.append(future)
        return future

    def _write(self, view: memoryview, offset: int) -> None:
        while view.nbytes:
            done = self._write_at(self._file, view, offset)
            if done < view.nbytes:
                # a disk that is nearly full takes a part; the kernel wants whole blocks again, and then says why
                done = done // BLOCK_BYTES * BLOCK_BYTES
                if done == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view, offset = view[done:], offset + done

    def finish(self) -> bytes:
        """Wait for all; returns what does not fill a block."""
        rest = self._filled % BLOCK_BYTES
        whole = self._filled - rest
        left = bytes(self._buffers[self._turn][whole : self._filled])
        self._filled = whole
        self._flush()
        for future in self._pending:
            future.result()
        return left
