"""A live file system that behaves as a mounted Google Drive: one mount a machine, over one cloud.

What is written to a mount is on its machine's disk at once and reaches the cloud later, file by file, in any order;
what others have uploaded appears in a mount when it likes; where two machines have made one name the cloud keeps both,
the later one as ``name (1)``; there are no locks between mounts and no hard links; now and then some operations in a
row fail with ENOTCONN. All that counts operations, and draws from a seed: nothing depends on time.

Making one of these folders in the root of a mount makes nothing, and works on it:

``.flush`` uploads all; ``.cut-LOST-TORN`` is the machine's sudden end: each file that was not uploaded yet is lost, or
loses its end, with these probabilities, and the machine's disk is empty then; ``.look-HIDDEN`` shows the cloud, each
new file hidden for now with this probability.

    python drivefs.py CLOUD DISK MOUNT SETTINGS     is the process that serves one mount
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "checkpoint"))

from recorder import attributes_of, is_up

#: After so many operations another file is uploaded, or the cloud is looked at.
SETTINGS = {"seed": 0, "upload_after": 40, "look_after": 150, "hidden": 0.1, "fails": 0.001, "fails_in_a_row": 3}


class LiveDrive:
    """The cloud and the mounts of it; a context manager.

    Args:
        folder: gets the cloud, and a disk and a mount for each machine.
        seed: of all that is left to chance.
        settings: in place of those of ``SETTINGS``.
    """

    def __init__(self, folder, seed=0, **settings):
        self.folder, self.settings = Path(folder), SETTINGS | {"seed": seed} | settings
        self._servers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for mount, server in self._servers.values():
            unmount = shutil.which("fusermount3") or "fusermount"
            subprocess.run([unmount, "-u", "-z", mount], check=False, capture_output=True)
            server.terminate()
            server.wait()

    def view(self, name):
        """The folder in which machine ``name`` sees the Drive.

        Raises:
            OSError: it can't be mounted.
        """
        if name not in self._servers:
            cloud, disk, mount = self.folder / "cloud", self.folder / f"disk-{name}", self.folder / f"mount-{name}"
            for path in (cloud, disk, mount):
                path.mkdir(parents=True, exist_ok=True)
            settings = self.settings | {"seed": f"{self.settings['seed']} {name}"}
            server = subprocess.Popen(
                [sys.executable, __file__, cloud, disk, mount, json.dumps(settings)], stdout=subprocess.PIPE, text=True
            )
            self._servers[name] = mount, server
            if server.stdout.readline() != "ready\n" or not is_up(mount, server):
                raise OSError(errno.ENODEV, "no FUSE mount")
        return self._servers[name][0]

    def upload(self, name, *, lost=0.0, torn=0.0):
        """The machine's end: a quiet one, after which all has arrived, or a sudden one."""
        self._do(name, f".cut-{lost}-{torn}" if lost or torn else ".flush")

    def download(self, name, *, hidden=0.0):
        """Show the cloud in a view."""
        self._do(name, f".look-{hidden}")

    @property
    def cloud(self):
        """The names of the files in the cloud."""
        root = self.folder / "cloud"
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]

    def _do(self, name, what):
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.view(name) / what)


class Machine:
    """One machine's side of the Drive: what is on its disk, and what of that the cloud has."""

    def __init__(self, cloud, disk, settings):
        self.cloud, self.disk = Path(cloud), Path(disk)
        self.settings = settings
        self.chance = random.Random(settings["seed"])
        self.known = {}  # path -> what the disk and the cloud have in common
        self.changed = {}  # path, in the order of the changes
        self.count = self.failing = 0

    def tick(self):
        """An operation: something may happen meanwhile, or it may fail."""
        self.count += 1
        if self.count % self.settings["upload_after"] == 0 and self.changed:
            self.upload(self.chance.choice(list(self.changed)))
        if self.count % self.settings["look_after"] == 0:
            self.look(self.settings["hidden"])
        if not self.failing and self.chance.random() < self.settings["fails"]:
            self.failing = self.chance.randrange(1, self.settings["fails_in_a_row"] + 1)
        if self.failing:
            self.failing -= 1
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def do(self, what):
        kind, *numbers = what.split("-")
        if kind == ".flush":
            for path in list(self.changed):
                self.upload(path)
        elif kind == ".cut":
            self.cut(*map(float, numbers))
        elif kind == ".look":
            self.look(*map(float, numbers))

    def upload(self, path, torn=False):
        """Bring one file into the cloud, under another name if somebody else has made this one."""
        self.changed.pop(path, None)
        source = self.disk / path
        if not source.is_file():
            return
        data = source.read_bytes()
        with self._cloud() as root:
            target = root / path
            theirs = target.read_bytes() if target.is_file() else None
            if theirs is not None and theirs != self.known.get(path) and theirs != data:
                target = target.with_name(f"{target.stem} (1){target.suffix}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data[: self.chance.randrange(len(data) + 1)] if torn else data)
        self.known[path] = data

    def remove(self, path):
        """A file was removed here."""
        self.changed.pop(path, None)
        if path in self.known:
            del self.known[path]
            with self._cloud() as root:
                (root / path).unlink(missing_ok=True)

    def look(self, hidden):
        """Bring what others have uploaded or removed onto the disk."""
        with self._cloud() as root:
            theirs = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for path, data in theirs.items():
            if path in self.changed or self.known.get(path) == data or self.chance.random() < hidden:
                continue
            (self.disk / path).parent.mkdir(parents=True, exist_ok=True)
            (self.disk / path).write_bytes(data)
            self.known[path] = data
        for path in set(self.known) - set(theirs) - set(self.changed):
            (self.disk / path).unlink(missing_ok=True)
            del self.known[path]

    def cut(self, lost, torn):
        """The machine ends in the middle of its uploads."""
        for path in list(self.changed):
            fate = self.chance.random()
            if fate >= lost:
                self.upload(path, torn=fate < lost + torn)
        shutil.rmtree(self.disk)
        self.disk.mkdir()
        self.known, self.changed = {}, {}

    @contextlib.contextmanager
    def _cloud(self):
        with open(self.cloud.parent / "cloud.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.cloud


def serve(cloud, disk, mount, settings):
    """Serve a mount until it is unmounted."""
    import mfusepy

    machine = Machine(cloud, disk, json.loads(settings))

    class Drive(mfusepy.Operations):
        use_ns = True

        def _at(self, path, *, changes=False):
            machine.tick()
            name = path.lstrip("/")
            if changes:
                machine.changed[name] = None
            return str(machine.disk / name)

        def create(self, path, mode, fi=None):
            return os.open(self._at(path, changes=True), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

        def open(self, path, flags):
            return os.open(self._at(path, changes=bool(flags & os.O_TRUNC)), flags & ~os.O_APPEND)

        def write(self, path, data, offset, fh):
            self._at(path, changes=True)
            return os.pwrite(fh, data, offset)

        def truncate(self, path, length, fh=None):
            os.truncate(self._at(path, changes=True), length)
            return 0

        def rename(self, old, new):
            os.rename(self._at(old), machine.disk / new.lstrip("/"))
            for path in [path for path in {*machine.known, *machine.changed} if below(path, old)]:
                machine.remove(path)
                machine.changed[(new + ("/" + path)[len(old) :]).lstrip("/")] = None
            if (machine.disk / new.lstrip("/")).is_file():
                machine.changed[new.lstrip("/")] = None
            return 0

        def unlink(self, path):
            os.unlink(self._at(path))
            machine.remove(path.lstrip("/"))
            return 0

        def mkdir(self, path, mode):
            if path.startswith("/."):
                machine.do(path[1:])
                raise mfusepy.FuseOSError(errno.EEXIST)
            os.mkdir(self._at(path), mode)
            return 0

        def rmdir(self, path):
            os.rmdir(self._at(path))
            return 0

        def link(self, target, source):
            raise mfusepy.FuseOSError(errno.EPERM)

        def symlink(self, target, source):
            raise mfusepy.FuseOSError(errno.EPERM)

        def getattr(self, path, fh=None):
            if path.startswith("/."):  # what the machine is told to do is no operation of a user's
                raise mfusepy.FuseOSError(errno.ENOENT)
            return attributes_of(self._at(path))

        def readdir(self, path, fh):
            return [".", "..", *os.listdir(self._at(path))]

        def read(self, path, size, offset, fh):
            self._at(path)
            return os.pread(fh, size, offset)

        def release(self, path, fh):
            os.close(fh)
            return 0

        def fsync(self, path, datasync, fh):
            return 0  # it is on the machine's disk; nothing waits for the cloud

        def fsyncdir(self, path, datasync, fh):
            return 0

        def chmod(self, path, mode):
            return 0

        def utimens(self, path, times=None):
            return 0

        def statfs(self, path):
            state = os.statvfs(disk)
            names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_files", "f_ffree", "f_frsize", "f_namemax")
            return {name: getattr(state, name) for name in names}

    print("ready", flush=True)
    # nothing is kept in the kernel: what it shows is what this machine knows now
    mfusepy.FUSE(Drive(), mount, foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0, direct_io=True)


def below(path, folder):
    """Whether a path is that of a renamed file, or lies in a renamed folder."""
    return ("/" + path + "/").startswith(folder.rstrip("/") + "/")


if __name__ == "__main__":
    serve(*sys.argv[1:])
