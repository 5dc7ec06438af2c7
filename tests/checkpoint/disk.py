"""Operations that are watched or broken, and the states in which a crash can leave a disk.

The log is what a folder store asked of the operating system; from it every state is rebuilt that the disk
may be in after a kill (all done so far is there, the last write perhaps in part) or a power cut (of what
was not synced, any part may be lost: bytes of a file, names in a folder).
"""

from __future__ import annotations

import hashlib
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

    def create(self, name, folder, *, direct=False):
        file = super().create(name, folder, direct=direct)
        self._files += 1
        self._open[file] = self._files
        self.note("create", f"{place_of(folder)}/{name}", self._files)
        return file

    def write(self, file, buffers):
        done = super().write(file, buffers)
        self.note("write", self._open[file], b"".join(map(bytes, buffers))[:done])
        return done

    def write_at(self, file, data, offset):
        done = super().write_at(file, data, offset)
        self.note("write", self._open[file], bytes(data[:done]), offset)
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
        def operation(self, *args, **options):
            self.count += 1
            self.strike()
            return getattr(Operations, name)(self, *args, **options)

        return operation

    open_folder, make_folder, create, sync = map(_struck, ("open_folder", "make_folder", "create", "sync"))
    rename, link, unlink, close, allocate = map(_struck, ("rename", "link", "unlink", "close", "allocate"))

    def write(self, file, buffers):
        self.count += 1
        try:
            self.strike()
        except OSError:
            # a full disk takes some of it first
            os.writev(file, [buffers[0][: len(buffers[0]) // 2]])
            raise
        return super().write(file, buffers)

    def write_at(self, file, data, offset):
        self.count += 1
        try:
            self.strike()
        except OSError:
            os.pwrite(file, data[: len(data) // 8192 * 4096], offset)
            raise
        return super().write_at(file, data, offset)


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

    def write_at(self, file, data, offset):
        self.writes += 1
        if self.writes == self.number and self.torn:
            os.pwrite(file, data[: len(data) // 8192 * 4096], offset)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write_at(file, data, offset)


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


#: What stands for a folder where files have numbers.
FOLDER = 0


@dataclass
class Disk:
    """A model of a disk: what is in the page cache, and what of it is durable.

    Events are those of ``Recording`` here and of the FUSE recorder (``recorder.py``): ``create path number``,
    ``write number data [offset]``, ``truncate number length``, ``sync number``, ``rename old new``, ``link old
    new``, ``unlink path``, ``mkdir path``, ``rmdir path``, ``syncdir path``. Others are passed over.
    """

    data: dict[int, bytes] = field(default_factory=lambda: {FOLDER: b""})
    durable: dict[int, bytes] = field(default_factory=lambda: {FOLDER: b""})
    names: dict[str, int] = field(default_factory=dict)
    # changes to names that no sync of their folder has made durable yet, oldest first: a name and what it is
    # now, or two names where a folder was moved
    pending: list[tuple[str, int | str | None]] = field(default_factory=list)
    durable_names: dict[str, int] = field(default_factory=dict)
    # places at which a write is cut, and patterns of sectors lost
    torn: int = 12

    def apply(self, event) -> None:
        kind, *args = event
        if kind == "create":
            path, number = args
            self.data[number] = self.durable[number] = b""
            self._name(path, number)
        elif kind == "mkdir":
            self._name(args[0], FOLDER)
        elif kind == "write":
            self.data[args[0]] = self._written(*args)
        elif kind == "truncate":
            number, length = args
            self.data[number] = self.data[number][:length].ljust(length, b"\0")
        elif kind == "sync":
            self.durable[args[0]] = self.data[args[0]]
        elif kind == "rename":
            self._rename(*args)
        elif kind == "link":
            self._name(args[1], self.names[args[0]])
        elif kind in ("unlink", "rmdir"):
            self._name(args[0], None)
        elif kind == "syncdir":
            self._sync_folder(args[0])

    def _written(self, number, data, offset=None):
        before = self.data[number]
        offset = len(before) if offset is None else offset
        return before[:offset].ljust(offset, b"\0") + data + before[offset + len(data) :]

    def _rename(self, old, new):
        number = self.names[old]
        if number == FOLDER:
            self._settle(self.names, old, new)
            self.pending.append((old, new))
        else:
            self._name(new, number)
            self._name(old, None)

    def _sync_folder(self, folder):
        rest = []
        for path, what in self.pending:
            if path.rpartition("/")[0] == folder:
                self._settle(self.durable_names, path, what)
            else:
                rest.append((path, what))
        self.pending = rest

    def _name(self, path, number):
        self._settle(self.names, path, number)
        self.pending.append((path, number))

    @staticmethod
    def _settle(names, path, what):
        if what is None:
            names.pop(path, None)
        elif isinstance(what, str):
            for name in [name for name in names if f"{name}/".startswith(f"{path}/")]:
                names[what + name[len(path) :]] = names.pop(name)
        else:
            names[path] = what

    def _state(self, names, bytes_of) -> dict[str, bytes]:
        """The files of a state; what lies in a folder that was lost is lost with it."""
        made = {path for path, what in (*self.names.items(), *self.pending) if what == FOLDER}
        made |= {path for path, what in self.durable_names.items() if what == FOLDER}
        lost = tuple(f"{path}/" for path in made if path not in names)
        return {
            path: bytes_of(number)
            for path, number in names.items()
            if number != FOLDER and not (lost and path.startswith(lost))
        }

    def after_kill(self, next_event) -> Iterator[dict[str, bytes]]:
        """All that was done is there; the next write may be there in part."""
        yield self._state(self.names, self.data.__getitem__)
        if next_event is not None and next_event[0] == "write":
            _, number, data, *offset = next_event
            for length in sorted({1, len(data) - 1, *(len(data) * part // self.torn for part in range(1, self.torn))}):
                torn = {**self.data, number: self._written(number, data[:length], *offset)}
                yield self._state(self.names, torn.__getitem__)

    def after_power_cut(self) -> Iterator[dict[str, bytes]]:
        """Of what was not synced any part may be lost: of the bytes, and of the names."""
        unsynced = any(self.data[number] != self.durable[number] for number in self.names.values())
        ways = [self._lost, self._whole]
        if unsynced:
            ways += [self._zeros, *[partial(self._cut, part) for part in range(self.torn)]]
            ways += [partial(self._scattered, seed) for seed in range(self.torn)]
        for names in self._name_sets():
            for bytes_of in ways:
                yield self._state(names, bytes_of)

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

    def _begin(self, number):
        """How much of a file is durable for sure: what it had, where no more was done to it than to add."""
        durable = self.durable[number]
        return len(durable) if self.data[number].startswith(durable) else 0

    def _lost(self, number):
        return self.durable[number]

    def _cut(self, part, number):
        done, data = self._begin(number), self.data[number]
        return data[: done + (len(data) - done) * part // self.torn]

    def _scattered(self, seed, number):
        """Some sectors were written, others hold what they held, or zeros."""
        data, before = bytearray(self.data[number]), self.durable[number]
        chance = random.Random(f"{seed} {number}")
        for start in range(self._begin(number), len(data), SECTOR_BYTES):
            if chance.random() < 0.5:
                length = len(data[start : start + SECTOR_BYTES])
                data[start : start + length] = before[start : start + length].ljust(length, b"\0")
        return bytes(data)

    def _zeros(self, number):
        # the length made it to the disk, the blocks did not
        done, data = self._begin(number), self.data[number]
        return data[:done] + bytes(len(data) - done)

    def _whole(self, number):
        return self.data[number]


def digest_of(state: dict[str, bytes]) -> bytes:
    """Tells states apart."""
    digest = hashlib.sha256()
    for path in sorted(state):
        digest.update(f"{path}\0{len(state[path])}\0".encode() + state[path])
    return digest.digest()


def distinct_states(log, root: str, torn: int) -> Iterator[tuple[dict[str, bytes], int, str]]:
    """Every state that a kill or power cut can leave, each once: its files, the last save acknowledged, the cause.

    Files outside of ``root`` are left out, names are relative to it.
    """
    disk, acknowledged, seen = Disk(torn=torn), 0, set()
    for index in range(len(log) + 1):
        following = log[index] if index < len(log) else None
        for cause, states in (("kill", disk.after_kill(following)), ("power cut", disk.after_power_cut())):
            for state in states:
                held = {p.removeprefix(f"{root}/"): data for p, data in state.items() if p.startswith(f"{root}/")}
                key = (digest_of(held), acknowledged, cause)
                if key not in seen:
                    seen.add(key)
                    yield held, acknowledged, cause
        if following is not None:
            if following[0] == "ack":
                acknowledged = following[1]
            disk.apply(following)


def drive_states(log, root: str, seed: int, samples: int) -> Iterator[tuple[dict[str, bytes], dict[str, bytes]]]:
    """States that a mounted Drive can show: each file new, old or absent, in any order, removed ones still there.

    Yields a state, and what each file that ever was last held, at each moment at which a save was acknowledged
    and at the end.
    """
    disk, history, chance = Disk(), {}, random.Random(seed)
    for event in [*log, ("ack", 0)]:
        disk.apply(event)
        if event[0] == "rename":
            history.setdefault(event[2], []).append(disk.data[disk.names[event[2]]])
        elif event[0] == "link":
            history.setdefault(event[1], []).append(disk.data[disk.names[event[1]]])
        if event[0] != "ack":
            continue
        ever = {p: versions for p, versions in history.items() if p.startswith(f"{root}/")}
        whole = {path: disk.data[disk.names[path]] for path in ever if path in disk.names}
        last = {path.removeprefix(f"{root}/"): versions[-1] for path, versions in ever.items()}
        for state in _drive_samples(ever, whole, chance, samples):
            yield {path.removeprefix(f"{root}/"): data for path, data in state.items()}, last


def _drive_samples(ever, whole, chance, samples) -> Iterator[dict[str, bytes]]:
    for path in ever:  # one file has not arrived, or arrived alone, or was removed here only
        yield {p: data for p, data in whole.items() if p != path}
        yield {path: ever[path][-1]}
        yield {**whole, path: ever[path][0]}
    for _ in range(samples):
        order = list(ever)
        chance.shuffle(order)
        here = chance.randrange(len(order) + 1)
        state = {path: chance.choice(ever[path]) for path in order[:here]}
        if chance.random() < 0.3 and state:
            path = chance.choice(list(state))
            state[path] = state[path][: chance.randrange(len(state[path]) + 1)]
        yield state
