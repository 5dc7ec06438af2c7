"""A pass-through FUSE file system that logs every operation that changes something, with its data.

It sees what any writer does, in whatever language, at the border of the kernel: nothing of the writer is
replaced. Trying to make a folder ``.ack-N`` in the root is logged as ``("ack", N)`` and makes nothing: by it a
writer says (`acknowledge`), in the order of all else, that its N-th save was acknowledged.

    python recorder.py SOURCE MOUNT LOG     is the process that serves the mount
"""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_ACK = "/.ack-"


@functools.cache
def why_not() -> str:
    """Why no FUSE file system can be mounted here; "" if one can, which is tried once."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse can't be opened"
    if shutil.which("fusermount3") is None and shutil.which("fusermount") is None:
        return "fusermount is not installed"
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        return f"mfusepy can't be loaded: {error}"
    try:
        with tempfile.TemporaryDirectory() as folder, recorded(Path(folder)):
            return ""
    except OSError as error:
        return str(error)


def acknowledge(mount: str | Path, number: int) -> None:
    """Put into the log that save ``number`` was acknowledged."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{mount}{_ACK}{number}")


@contextlib.contextmanager
def recorded(folder: Path, fault: str = "") -> Iterator[tuple[Path, list[tuple]]]:
    """Mount a recorder; yields where, and a list that holds the log once the block has ended.

    Args:
        folder: gets ``source``, where the files are, and ``mount``; ``source`` may be there already.
        fault: ``"ENOSPC 12 once"``, ``"ESTALE 3 forever"``, ``"hang 30 7.5"``: the 12th operation fails, all
            from the 3rd on fail, the 30th takes 7.5 seconds. ``"hold 1 /path"``: each takes as long as that file
            is there.

    Raises:
        OSError: it could not be mounted, as in a container without the right to.
    """
    source, mount, log = folder / "source", folder / "mount", folder / "log"
    for path in (source, mount):
        path.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, __file__, source, mount, log, fault], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    events: list[tuple] = []
    try:
        if not server.stdout or server.stdout.readline() != "ready\n" or not is_up(mount, server):
            raise OSError(errno.ENODEV, f"no FUSE mount: {server.communicate(timeout=60)[1][-300:]}")
        yield mount, events
    finally:
        for name in ("fusermount3", "fusermount"):
            if shutil.which(name):
                # lazily: a server that is made to hang answers to nothing else
                subprocess.run([name, "-u", "-z", mount], check=False, capture_output=True)
                break
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    with log.open() as lines:
        events += [_event(json.loads(line)) for line in lines]


def is_up(mount: Path, server: subprocess.Popen) -> bool:
    """Wait until the mount answers: the process can't tell by itself when the kernel has taken it."""
    while server.poll() is None:
        # not by a look at the folder itself, which may be one of the operations that are to fail
        if f" {mount} fuse" in Path("/proc/self/mounts").read_text():
            return True
        os.sched_yield()
    return False


def attributes_of(path: str) -> dict[str, int]:
    """What a FUSE file system says of a file that is the one at this path."""
    state = os.lstat(path)
    names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino")
    times = {f"st_{kind}": getattr(state, f"st_{kind}_ns") for kind in ("atime", "mtime", "ctime")}
    return {name: getattr(state, name) for name in names} | times


def _event(parts: list) -> tuple:
    if parts[0] == "write":
        kind, number, data, offset = parts
        return kind, number, base64.b64decode(data), offset
    return tuple(parts)


class Fault:
    """Decides which operation fails; see `recorded`."""

    def __init__(self, words: str) -> None:
        self._kind, number, self._mode = words.split() if words else ("", "0", "")
        self._number, self._count = int(number), 0

    def strike(self, note: Callable[..., None], name: str) -> None:
        """Called before each operation; raises ``OSError``, or takes its time."""
        self._count += 1
        if self._kind == "hold":
            while os.path.exists(self._mode):
                time.sleep(0.02)
            return
        if not self._kind or self._count < self._number or (self._count > self._number and self._mode != "forever"):
            return
        note("fault", self._count, self._kind, name)
        if self._kind == "hang":
            time.sleep(float(self._mode))
            return
        number = getattr(errno, self._kind)
        raise OSError(number, os.strerror(number))


def serve(source: str, mount: str, log: str, fault: str = "") -> None:
    """Serve the mount until it is unmounted."""
    import mfusepy

    faults = Fault(fault)

    class Recorder(mfusepy.Operations):
        use_ns = True

        def __init__(self):
            self._log = open(log, "w", buffering=1)  # noqa: SIM115 - as long as the process
            self._numbers: dict[str, int] = {}  # path -> number of the file that it names
            self._open: dict[int, int] = {}
            self._count = 0
            for path in Path(source).rglob("*"):
                if path.is_file():
                    self._count += 1
                    self._numbers[str(path).removeprefix(source)] = self._count

        def _note(self, *event):
            self._log.write(json.dumps(event) + "\n")

        @staticmethod
        def _at(path):
            return source + path

        # --- what changes something

        def create(self, path, mode, fi=None):
            file = os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
            if path in self._numbers:
                self._note("truncate", self._numbers[path], 0)
            else:
                self._count += 1
                self._numbers[path] = self._count
                self._note("create", path, self._count)
            self._open[file] = self._numbers[path]
            return file

        def open(self, path, flags):
            file = os.open(self._at(path), flags & ~os.O_APPEND)
            self._open[file] = self._numbers[path]
            if flags & os.O_TRUNC:
                self._note("truncate", self._numbers[path], 0)
            return file

        def write(self, path, data, offset, fh):
            done = os.pwrite(fh, data, offset)
            self._note("write", self._open[fh], base64.b64encode(data[:done]).decode(), offset)
            return done

        def truncate(self, path, length, fh=None):
            os.truncate(self._at(path), length)
            self._note("truncate", self._numbers[path], length)
            return 0

        def fsync(self, path, datasync, fh):
            self._note("sync", self._open[fh])
            return 0

        def fsyncdir(self, path, datasync, fh):
            self._note("syncdir", path.rstrip("/"))
            return 0

        def rename(self, old, new):
            os.rename(self._at(old), self._at(new))
            self._note("rename", old, new)
            moved = {path: number for path, number in self._numbers.items() if (path + "/").startswith(old + "/")}
            for path, number in moved.items():
                del self._numbers[path]
                self._numbers[new + path[len(old) :]] = number
            return 0

        def link(self, target, source_path):
            os.link(self._at(source_path), self._at(target))
            self._numbers[target] = self._numbers[source_path]
            self._note("link", source_path, target)
            return 0

        def unlink(self, path):
            os.unlink(self._at(path))
            self._numbers.pop(path, None)
            self._note("unlink", path)
            return 0

        def mkdir(self, path, mode):
            if path.startswith(_ACK):
                self._note("ack", int(path.removeprefix(_ACK)))
                raise mfusepy.FuseOSError(errno.EEXIST)
            os.mkdir(self._at(path), mode)
            self._note("mkdir", path)
            return 0

        def rmdir(self, path):
            os.rmdir(self._at(path))
            self._note("rmdir", path)
            return 0

        def symlink(self, target, origin):
            raise mfusepy.FuseOSError(errno.EPERM)

        # --- what does not

        def getattr(self, path, fh=None):
            return attributes_of(self._at(path))

        def readdir(self, path, fh):
            return [".", "..", *os.listdir(self._at(path))]

        def read(self, path, size, offset, fh):
            return os.pread(fh, size, offset)

        def release(self, path, fh):
            self._open.pop(fh, None)
            os.close(fh)
            return 0

        def chmod(self, path, mode):
            os.chmod(self._at(path), mode)
            return 0

        def utimens(self, path, times=None):
            os.utime(self._at(path), ns=times)
            return 0

        def statfs(self, path):
            state = os.statvfs(source)
            names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_files", "f_ffree", "f_frsize", "f_namemax")
            return {name: getattr(state, name) for name in names}

    class Faulty(Recorder):
        """Each operation may fail before it does anything."""

        def _struck(name):
            def operation(self, *args):
                faults.strike(self._note, name)
                return getattr(Recorder, name)(self, *args)

            return operation

        for _name in (
            "create open write truncate fsync fsyncdir rename link unlink mkdir rmdir getattr readdir read utimens"
        ).split():
            locals()[_name] = _struck(_name)

    print("ready", flush=True)
    mfusepy.FUSE(Faulty() if fault else Recorder(), mount, foreground=True, nothreads=True, big_writes=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
