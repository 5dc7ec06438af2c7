"""Maps and locks of a slot, by the kernel's own calls."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap

_MADV_HUGEPAGE = 14
_MADV_POPULATE_WRITE = 23
#: Memory is touched before its first use in pieces of this size, so that the process's own mappings don't wait long.
_TOUCH_BYTES = 4 << 20


class NoMemoryError(Exception):
    """There is no memory for a slot."""


def lock(fd: int, kind: int) -> bool:
    """Take ``LOCK_SH`` or ``LOCK_EX`` on a slot; False if another process is in the way."""
    try:
        fcntl.lockf(fd, kind | fcntl.LOCK_NB, 1, 0)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def unlock(fd: int) -> None:
    """Give it back."""
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Map:
    """A file in this process's memory; stays there until ``unmap``, whoever forgets it."""

    def __init__(self, fd: int, size_bytes: int, *, writable: bool) -> None:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = _libc.mmap(None, size_bytes, access, mmap.MAP_SHARED, fd, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise NoMemoryError
        self._address, self.size_bytes, self._writable = int(address), size_bytes, writable
        if writable:
            # large pages where the machine allows them; nothing otherwise
            _libc.madvise(self._address, size_bytes, _MADV_HUGEPAGE)

    def view(self) -> memoryview:
        """Its bytes."""
        view = memoryview((ctypes.c_char * self.size_bytes).from_address(self._address)).cast("B")
        return view if self._writable else view.toreadonly()

    def fill(self, offset: int, data: memoryview) -> None:
        """Copy writable bytes to a place, without the interpreter's lock."""
        if data.nbytes:
            source = ctypes.addressof(ctypes.c_char.from_buffer(data))
            ctypes.memmove(self._address + offset, source, data.nbytes)

    def touch(self) -> None:
        """Get all pages, without the interpreter's lock; what the kernel can't do (before 5.14) the copy does."""
        for start in range(0, self.size_bytes, _TOUCH_BYTES):
            length = min(_TOUCH_BYTES, self.size_bytes - start)
            if _libc.madvise(self._address + start, length, _MADV_POPULATE_WRITE):
                return

    def unmap(self) -> None:
        """Nobody may look at it any more."""
        _libc.munmap(self._address, self.size_bytes)
