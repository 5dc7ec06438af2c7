"""A store in a folder: a local disk, NFS, a mounted Drive.

``_write_durably`` is the only place in survivor that opens a file of a folder store for writing.

Things that don't work:

- Opening by path. Anyone who can write the folder could swap ``packs`` for a link to ``/etc`` between a
  check and the use. Solution: walk down from the root with open folders and ``O_NOFOLLOW``.
- ``mmap`` for reading. A mapped file that somebody truncates kills its reader with SIGBUS, which can't be
  caught in a useful way; and what was verified could change before it is used. Solution: read into memory.
- ``O_EXCL`` on the final name for an exclusive create. A writer that dies after the create leaves an empty
  file that holds the name for ever. Solution: write and sync a temporary file, then ``link`` it to the
  name, which fails if the name is taken; ``O_EXCL`` only where links are not supported.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from survivor.errors import StoreError
from survivor.store import mounts
from survivor.store.base import AbsentError, Chunk, Entry, check_name
from survivor.store.filling import Filler
from survivor.store.operations import Operations

_READ_BYTES = 64 << 20
_MAPPED_BYTES = 1 << 20  # from here on anonymous memory, which need not be zeroed first
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
_NO_LINK = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EOPNOTSUPP}
_ADVICE = {
    errno.ENOSPC: "The disk is full: free some space, or let survivor keep fewer checkpoints (--keep).",
    errno.EDQUOT: "The quota is used up: free some space, or let survivor keep fewer checkpoints (--keep).",
    errno.EIO: "The disk or mount reports an error; on Google Drive this is often a full quota.",
    errno.ENOTCONN: "The mount is gone (on Colab: drive.mount again); the job goes on when it is back.",
    errno.ESTALE: "The network file system was unmounted or re-exported; mount it again.",
    errno.EROFS: "The file system is mounted read-only.",
    errno.EACCES: "Check who owns the folder, or choose another with --store.",
    errno.EPERM: "Check who owns the folder, or choose another with --store.",
    errno.ELOOP: "A link stands where an ordinary file or folder should be; survivor follows none.",
    errno.ENOTDIR: "A file or link stands where a folder should be; survivor follows no links.",
}


class FolderStore:
    """Files below one folder, which is made when something is first written."""

    def __init__(self, root: str | Path, operations: Operations | None = None) -> None:
        """Touch nothing yet; ``operations`` is for tests that watch or break them."""
        self.root = Path(root).expanduser().absolute()
        self._do = operations or Operations()
        self._device: int | None = None
        self._filler = Filler(self._do)

    def describe(self) -> str:
        """Return the folder."""
        return str(self.root)

    def put(self, name: str, chunks: Iterable[Chunk]) -> int:
        """Write a file; see ``Store.put``."""
        with _told("write", self, name), self._folder_of(name, make=True) as (folder, last):
            # a name of its own, so that two writers of one name never write into one file
            part = _part_name(last)
            with self._removed_on_failure(folder, part):
                past_cache = self._filler.takes_direct(str(self.root), chunks)
                size = self._write_durably(folder, part, chunks, past_cache=past_cache)
                # the final name appears only now that the bytes are on the disk
                self._do.rename(part, last, folder)
            # and only now does the name outlive a power cut
            self._sync_folder(folder)
            return size

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create a file; see ``Store.put_if_absent``."""
        with _told("create", self, name), self._folder_of(name, make=True) as (folder, last):
            part = _part_name(last)
            with self._removed_on_failure(folder, part):
                self._write_durably(folder, part, [data])
                taken = self._link(part, last, folder, data)
                self._do.unlink(part, folder)
            if taken:
                self._sync_folder(folder)
            return taken

    def _link(self, part: str, last: str, folder: int, data: bytes) -> bool:
        try:
            self._do.link(part, last, folder)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        try:
            self._write_durably(folder, last, [data])
            return True
        except FileExistsError:
            return False

    def _write_durably(self, folder: int, name: str, chunks: Iterable[Chunk], *, past_cache: bool = False) -> int:
        """Create a file, fill it and make its bytes durable; returns its size."""
        try:
            file = self._do.create(name, folder, direct=True) if past_cache else self._do.create(name, folder)
        except OSError as error:
            if not past_cache or error.errno != errno.EINVAL:
                raise
            past_cache = self._filler.direct = False
            with contextlib.suppress(OSError):
                self._do.unlink(name, folder)  # Linux makes the file and then says that it can't
            file = self._do.create(name, folder)
        try:
            size = self._filler.fill(file, chunks, past_cache=past_cache)
            # a mount that lost data without an error (seen on Drive) shows it in the size
            if (seen := os.fstat(file).st_size) != size:
                raise OSError(errno.EIO, f"wrote {size} bytes, but the file has {seen}")
            # bytes before name: otherwise a power cut can leave a name without bytes
            self._do.sync(file)
        except BaseException:
            with contextlib.suppress(OSError):
                self._do.close(file)
            raise
        # its error counts: full disks and quotas are reported here on network mounts
        self._do.close(file)
        return size

    def get(self, name: str, offset: int = 0, length: int | None = None) -> memoryview:
        """Read a part of a file; see ``Store.get``."""
        with _told("read", self, name), self._opened(name) as file:
            size = os.fstat(file).st_size
            wanted = max(size - offset, 0) if length is None else length
            if offset < 0 or wanted < 0 or offset + wanted > size:
                raise StoreError(f"{self.root / name} has {size} bytes, not {offset} + {wanted}")
            memory = _memory(wanted)
            done = 0
            while done < wanted:
                count = os.preadv(file, [memory[done : done + _READ_BYTES]], offset + done)
                if count == 0:
                    raise StoreError(f"{self.root / name} became shorter while it was read")
                done += count
            return memory

    def size(self, name: str) -> int:
        """Return a file's length; see ``Store.size``."""
        with _told("look at", self, name), self._opened(name) as file:
            return os.fstat(file).st_size

    def files(self, prefix: str) -> list[Entry]:
        """List ordinary files; see ``Store.files``."""
        found: list[Entry] = []
        for name, state in self._scan(prefix):
            if stat.S_ISREG(state.st_mode):
                found.append(Entry(f"{prefix}/{name}" if prefix else name, state.st_size, state.st_mtime))
        return found

    def folders(self, prefix: str) -> list[str]:
        """List folders; see ``Store.folders``."""
        return [name for name, state in self._scan(prefix) if stat.S_ISDIR(state.st_mode)]

    def delete(self, name: str) -> None:
        """Remove a file for good; see ``Store.delete``."""
        with _told("remove", self, name):
            try:
                with self._folder_of(name, make=False) as (folder, last):
                    if mounts.kind_of(str(self.root)) == mounts.DRIVE:
                        _empty(last, folder)
                    self._do.unlink(last, folder)
                    self._sync_folder(folder)
            except FileNotFoundError:
                return

    def move(self, old: str, new: str) -> None:
        """Rename a folder of the root; see ``Store.move``."""
        check_name(new)
        with _told("rename", self, old), self._folder_of(old, make=False) as (folder, last):
            if "/" in old or "/" in new:
                raise StoreError(f"only a folder of {self.root} itself can be renamed, not {old} to {new}")
            if os.path.lexists(self.root / new):
                raise StoreError(f"{self.root / new} is there already")
            self._do.rename(last, new, folder)
            self._sync_folder(folder)

    def _scan(self, prefix: str) -> list[tuple[str, os.stat_result]]:
        found: list[tuple[str, os.stat_result]] = []
        with _told("list", self, prefix):
            try:
                with self._folder(prefix.split("/") if prefix else [], make=False) as folder:
                    for name in os.listdir(folder):
                        # a file may go between the two calls: someone else prunes
                        with contextlib.suppress(FileNotFoundError):
                            found.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
            except FileNotFoundError:
                return []
        return found

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        with self._folder_of(name, make=False) as (folder, last):
            # O_NONBLOCK: opening a FIFO that somebody put here must not wait for a writer
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(last, flags, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise StoreError(f"{self.root / name} is not an ordinary file")
            yield file
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _folder_of(self, name: str, *, make: bool) -> Iterator[tuple[int, str]]:
        *folders, last = check_name(name).split("/")
        with self._folder(folders, make=make) as folder:
            yield folder, last

    @contextlib.contextmanager
    def _folder(self, parts: Iterable[str], *, make: bool) -> Iterator[int]:
        """Walk down from the root, one open folder at a time."""
        folder = self._open_root(make=make)
        try:
            for part in parts:
                if make:
                    self._make_folder(part, folder)
                below = self._do.open_folder(part, folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _open_root(self, *, make: bool) -> int:
        if make and self._device is None and not self.root.is_dir():
            self._make_root(self.root)
        try:
            folder = self._do.open_folder(str(self.root), None)
        except FileNotFoundError:
            if self._device is None:
                raise
            raise OSError(errno.ENOTCONN, "the folder was there before and is gone") from None
        # below an unmounted Drive there is an ordinary folder: what is written there would be lost
        device = os.fstat(folder).st_dev
        if self._device is not None and self._device != device:
            os.close(folder)
            raise OSError(errno.ENOTCONN, "another file system is mounted here than before")
        self._device = device
        return folder

    def _make_root(self, path: Path) -> None:
        if path.is_dir():
            return
        self._make_root(path.parent)
        try:
            path.mkdir(exist_ok=True)
        except FileNotFoundError as error:  # as in /proc
            raise StoreError(f"can't make the folder {path}", advice="Choose another with --store.") from error
        self._sync_path(path.parent)

    def _make_folder(self, name: str, folder: int) -> None:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                self._do.make_folder(name, folder)
            self._sync_folder(folder)

    def _sync_path(self, path: Path) -> None:
        folder = self._do.open_folder(str(path), None)
        try:
            self._sync_folder(folder)
        finally:
            os.close(folder)

    def _sync_folder(self, folder: int) -> None:
        try:
            self._do.sync(folder)
        except OSError as error:
            # some network and FUSE file systems can't sync a folder: there is nothing more to do
            if error.errno not in _NO_SYNC:
                raise

    @contextlib.contextmanager
    def _removed_on_failure(self, folder: int, part: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self._do.unlink(part, folder)
            raise


def _part_name(last: str) -> str:
    return f"{last[:180]}.{secrets.token_hex(4)}.part"


def _memory(size_bytes: int) -> memoryview:
    if size_bytes < _MAPPED_BYTES:
        return memoryview(bytearray(size_bytes))
    try:
        return memoryview(mmap.mmap(-1, size_bytes))
    except (OSError, OverflowError, ValueError) as error:
        raise StoreError(f"no memory for {size_bytes} bytes: {error}") from error


def _empty(name: str, folder: int) -> None:
    """Cut a file to nothing before it goes: a Drive's trash keeps it for a month, and it counts all that time."""
    with contextlib.suppress(OSError):
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _told(action: str, store: FolderStore, name: str) -> Iterator[None]:
    """Turn an ``OSError`` into a ``StoreError`` that says what was tried, where, and what to do."""
    try:
        yield
    except OSError as error:
        place = store.root / name
        if isinstance(error, FileNotFoundError):
            raise AbsentError(f"{place} is not there") from error
        advice = _ADVICE.get(error.errno or 0, "")
        raise StoreError(f"can't {action} {place}: {error.strerror or error}", advice=advice) from error
