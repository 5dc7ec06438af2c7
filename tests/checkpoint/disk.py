"""Operations that are watched or broken, and the states in which a crash can leave a disk.

The log is what a folder store asked of the operating system; from it every state is rebuilt that the disk
may be in after a kill (all done so far is there, the last write perhaps in part) or a power cut (of what
was not synced, any part may be lost: bytes of a file, names in a folder).
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from survivor.store.base import AbsentError, Entry
from survivor.store.operations import Operations

SECTOR_BYTES = 64  # smaller than any real one, as are the files here


def place_of(file: int) -> str:
    return os.readlink(f"/proc/self/fd/{file}")


class Recording(Operations):
    """Does everything and keeps a log of it; names in the log are whole paths, files have numbers."""

    def __init__(self):
        self.log = []
        self._open = {}
        self._files = 0

    def note(self, *event):
        self.log.append(event)

    def make_folder(self, name, folder):
        super().make_folder(name, folder)
        self.note("mkdir", f"{place_of(folder)}/{name}")

    def create(self, name, folder):
        file = super().create(name, folder)
        self._files += 1
        self._open[file] = self._files
        self.note("create", f"{place_of(folder)}/{name}", self._files)
        return file

    def write(self, file, buffers):
        done = super().write(file, buffers)
        self.note("write", self._open[file], b"".join(map(bytes, buffers))[:done])
        return done

    def sync(self, file):
        super().sync(file)
        if file in self._open:
            self.note("sync", self._open[file])
        else:
            self.note("syncdir", place_of(file))

    def close(self, file):
        super().close(file)
        self._open.pop(file)

    def rename(self, old, new, folder):
        super().rename(old, new, folder)
        self.note("rename", f"{place_of(folder)}/{old}", f"{place_of(folder)}/{new}")

    def link(self, old, new, folder):
        super().link(old, new, folder)
        self.note("link", f"{place_of(folder)}/{old}", f"{place_of(folder)}/{new}")

    def unlink(self, name, folder):
        super().unlink(name, folder)
        self.note("unlink", f"{place_of(folder)}/{name}")


class Counting(Operations):
    """Calls ``strike`` before each operation; the subclass decides what happens at which."""

    def __init__(self):
        self.count = 0

    def strike(self):
        raise NotImplementedError

    def _struck(name):
        def operation(self, *args):
            self.count += 1
            self.strike()
            return getattr(Operations, name)(self, *args)

        return operation

    open_folder, make_folder, create, sync = map(_struck, ("open_folder", "make_folder", "create", "sync"))
    rename, link, unlink, close = map(_struck, ("rename", "link", "unlink", "close"))

    def write(self, file, buffers):
        self.count += 1
        try:
            self.strike()
        except OSError:
            # a full disk takes some of it first
            os.writev(file, [buffers[0][: len(buffers[0]) // 2]])
            raise
        return super().write(file, buffers)


class Failing(Counting):
    """The N-th operation fails with ``error``; all later ones too if ``forever``."""

    def __init__(self, number, error, *, forever):
        super().__init__()
        self.number, self.error, self.forever, self.armed = number, error, forever, True

    def strike(self):
        if self.armed and (self.count == self.number or (self.forever and self.count > self.number)):
            raise OSError(self.error, os.strerror(self.error))

    def close(self, file):
        # a close that fails has closed all the same
        try:
            super().close(file)
        except OSError:
            Operations.close(self, file)
            raise


class Killing(Counting):
    """The process dies before the N-th operation that changes something, or amid the N-th write."""

    def __init__(self, number, *, torn=False):
        super().__init__()
        self.number, self.torn, self.writes = number, torn, 0

    open_folder, close = Operations.open_folder, Operations.close

    def strike(self):
        if self.count == self.number and not self.torn:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, file, buffers):
        self.writes += 1
        if self.writes == self.number and self.torn:
            os.writev(file, [buffers[0][: len(buffers[0]) // 2]])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(file, buffers)


class Image:
    """A store that holds what a crashed disk holds; enough of one to read it and to go on."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files_held = dict(files)

    def describe(self):
        return "image"

    def put(self, name, chunks):
        self.files_held[name] = b"".join(chunks)
        return len(self.files_held[name])

    def put_if_absent(self, name, data):
        return name not in self.files_held and bool(self.put(name, [data]))

    def get(self, name, offset=0, length=None):
        if name not in self.files_held:
            raise AbsentError(f"{name} is not there")
        data = self.files_held[name]
        length = len(data) - offset if length is None else length
        if offset + length > len(data):
            from survivor.errors import StoreError

            raise StoreError(f"{name} is too short")
        return memoryview(bytearray(data[offset : offset + length]))

    def size(self, name):
        return len(self.get(name))

    def files(self, prefix):
        inside = [name for name in self.files_held if name.rpartition("/")[0] == prefix]
        return [Entry(name, len(self.files_held[name]), None) for name in inside]

    def delete(self, name):
        self.files_held.pop(name, None)


@dataclass
class Disk:
    """A model of a disk: what is in the page cache, and what of it is durable."""

    data: dict[int, bytes] = field(default_factory=dict)
    durable: dict[int, bytes] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    # changes to names that no sync of their folder has made durable yet, oldest first
    pending: list[tuple[str, int | None]] = field(default_factory=list)
    durable_names: dict[str, int] = field(default_factory=dict)
    # places at which a write is cut, and patterns of sectors lost
    torn: int = 12

    def apply(self, event) -> None:
        kind, *args = event
        if kind == "create":
            path, number = args
            self.data[number] = self.durable[number] = b""
            self._name(path, number)
        elif kind == "write":
            self.data[args[0]] += args[1]
        elif kind == "sync":
            self.durable[args[0]] = self.data[args[0]]
        elif kind == "rename":
            old, new = args
            number = self.names[old]
            self._name(new, number)
            self._name(old, None)
        elif kind == "link":
            self._name(args[1], self.names[args[0]])
        elif kind == "unlink":
            self._name(args[0], None)
        elif kind == "syncdir":
            rest = []
            for path, number in self.pending:
                if path.rpartition("/")[0] == args[0]:
                    self._settle(self.durable_names, path, number)
                else:
                    rest.append((path, number))
            self.pending = rest

    def _name(self, path, number):
        self._settle(self.names, path, number)
        self.pending.append((path, number))

    @staticmethod
    def _settle(names, path, number):
        if number is None:
            names.pop(path, None)
        else:
            names[path] = number

    def after_kill(self, next_event) -> Iterator[dict[str, bytes]]:
        """All that was done is there; the next write may be there in part."""
        yield {path: self.data[number] for path, number in self.names.items()}
        if next_event is not None and next_event[0] == "write":
            _, number, data = next_event
            for length in sorted({1, len(data) - 1, *(len(data) * part // self.torn for part in range(1, self.torn))}):
                torn = {**self.data, number: self.data[number] + data[:length]}
                yield {path: torn[held] for path, held in self.names.items()}

    def after_power_cut(self) -> Iterator[dict[str, bytes]]:
        """Of what was not synced any part may be lost: of the bytes, and of the names."""
        unsynced = any(self.data[number] != self.durable[number] for number in self.names.values())
        ways = [self._lost, self._whole]
        if unsynced:
            ways += [self._zeros, *[partial(self._cut, part) for part in range(1, self.torn)]]
            ways += [partial(self._scattered, seed) for seed in range(self.torn)]
        for names in self._name_sets():
            for bytes_of in ways:
                yield {path: bytes_of(number) for path, number in names.items()}

    def _name_sets(self) -> Iterator[dict[str, int]]:
        count = len(self.pending)
        subsets = [
            range(count),
            *[range(end) for end in range(count)],
            *[range(start, count) for start in range(count)],
        ]
        subsets += [[one] for one in range(count)]
        for subset in subsets:
            names = dict(self.durable_names)
            for index in subset:
                self._settle(names, *self.pending[index])
            yield names

    def _lost(self, number):
        return self.durable[number]

    def _cut(self, part, number):
        done, data = len(self.durable[number]), self.data[number]
        return data[: done + (len(data) - done) * part // self.torn]

    def _scattered(self, seed, number):
        """Some sectors were written, others hold zeros."""
        data = bytearray(self.data[number])
        chance = random.Random(f"{seed} {number}")
        for start in range(len(self.durable[number]), len(data), SECTOR_BYTES):
            if chance.random() < 0.5:
                data[start : start + SECTOR_BYTES] = bytes(len(data[start : start + SECTOR_BYTES]))
        return bytes(data)

    def _zeros(self, number):
        # the length made it to the disk, the blocks did not
        done, data = self.durable[number], self.data[number]
        return done + bytes(len(data) - len(done))

    def _whole(self, number):
        return self.data[number]
