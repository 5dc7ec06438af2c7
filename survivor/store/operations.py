"""The file operations that a folder store is made of, one method each.

They are an object and not calls of ``os`` so that a test can record every one of them, make the N-th
fail, or end the process there, while the bytes still go to a real folder. All names are relative to an open
folder, so that no step is taken by a path that somebody may have turned into a link in between.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Operations:
    """Plain calls of the operating system; every one may raise ``OSError``."""

    def open_folder(self, name: str, folder: int | None) -> int:
        """Open a folder without following a link in its last part."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return os.open(name, flags | (0 if folder is None else os.O_NOFOLLOW), dir_fd=folder)

    def make_folder(self, name: str, folder: int) -> None:
        """Make a folder; ``FileExistsError`` if it is there."""
        os.mkdir(name, 0o777, dir_fd=folder)

    def create(self, name: str, folder: int, *, direct: bool = False) -> int:
        """Create a file that must not be there, for writing; ``direct`` past the page cache."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags | (os.O_DIRECT if direct else 0), 0o666, dir_fd=folder)

    def write(self, file: int, buffers: Sequence[memoryview]) -> int:
        """Write buffers one after the other; returns how many bytes were taken."""
        return os.writev(file, buffers)

    def write_at(self, file: int, data: memoryview, offset: int) -> int:
        """Write somewhere into the file, from any thread; returns how many bytes were taken."""
        return os.pwrite(file, data, offset)

    def allocate(self, file: int, size_bytes: int) -> None:
        """Get the room for a file before it is written; does nothing where the file system can't.

        Not ``os.posix_fallocate``, which then writes zeros.
        """
        if _libc.fallocate(file, 0, 0, size_bytes) and (number := ctypes.get_errno()) in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(number, os.strerror(number))

    def end_direct(self, file: int) -> None:
        """From now on write through the page cache."""
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) & ~os.O_DIRECT)

    def sync(self, file: int) -> None:
        """Make what was written (or, for a folder, its names) durable."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Close; some file systems report a full disk only here."""
        os.close(file)

    def rename(self, old: str, new: str, folder: int) -> None:
        """Give a file its final name."""
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def link(self, old: str, new: str, folder: int) -> None:
        """Give a file a second name that must be free; ``FileExistsError`` if it is not."""
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

    def unlink(self, name: str, folder: int) -> None:
        """Remove a name."""
        os.unlink(name, dir_fd=folder)
