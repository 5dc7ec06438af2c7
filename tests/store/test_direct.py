"""Files past the page cache hold what they were given, and the kernel gets only what it takes."""

import errno
import mmap
import os
import random

import pytest

from survivor.errors import StoreError
from survivor.store import FolderStore, direct
from survivor.store.base import Headed
from survivor.store.operations import Operations

BLOCK = direct.BLOCK_BYTES


def file_of(body, head=b"h" * BLOCK):
    size = len(head) + sum(len(piece) for piece in body)
    return Headed(len(head), size, lambda: iter(body), lambda: head)


class Strict(Operations):
    """A disk that takes whole blocks from whole pages only, until it is told that the cache is used."""

    def __init__(self, refuses=0, room=1 << 40, opens=True):
        self.refuses, self.room, self.opens = refuses, room, opens
        self.direct = self.calls = 0

    def create(self, name, folder, *, direct=False):
        self.direct = direct
        file = super().create(name, folder)
        if direct and not self.opens:
            os.close(file)
            raise OSError(errno.EINVAL, "no direct files here")
        return file

    def end_direct(self, file):
        self.direct = False

    def write_at(self, file, data, offset):
        if self.direct:
            self.calls += 1
            assert offset % BLOCK == 0 and len(data) % BLOCK == 0 and direct.address_of(data) % BLOCK == 0
            if self.refuses:
                raise OSError(self.refuses, os.strerror(self.refuses))
            if offset + len(data) > self.room:
                data = data[: max(0, self.room - offset)]
        return super().write_at(file, data, offset)


@pytest.fixture
def memory():
    """Some random bytes from a page on."""
    made = mmap.mmap(-1, 6 << 20)
    made[:] = random.Random(0).randbytes(len(made))
    return memoryview(made)


@pytest.fixture(autouse=True)
def every_file_system(monkeypatch):
    monkeypatch.setattr("survivor.store.mounts.kind_of", lambda *_: "ext4")


@pytest.mark.parametrize("seed", range(8))
def test_pieces_of_any_size_from_anywhere_come_out_in_their_order(tmp_path, memory, seed):
    chance, body, total = random.Random(seed), [], 0
    while total < direct.LEAST_BYTES or len(body) < 5:
        start = chance.choice([0, BLOCK, chance.randrange(5 << 20)])
        size = chance.choice([0, 1, 64, 3 * BLOCK, chance.randrange(1 << 14), chance.randrange(1 << 20)])
        body.append(memory[start : start + size])
        total += size
    do = Strict()
    assert FolderStore(tmp_path, do).put("file", file_of(body)) == BLOCK + total
    assert (tmp_path / "file").read_bytes() == b"h" * BLOCK + b"".join(body)
    assert do.calls


def test_whole_pages_go_to_the_disk_from_where_they_lie(tmp_path, memory):
    do, seen = Strict(), []
    write_at = do.write_at
    do.write_at = lambda file, data, offset: seen.append(direct.address_of(data)) or write_at(file, data, offset)
    FolderStore(tmp_path, do).put("file", file_of([memory]))
    assert direct.address_of(memory) in seen


@pytest.mark.parametrize("do", [Strict(refuses=errno.EINVAL), Strict(opens=False)], ids=["at a write", "at the open"])
def test_a_file_system_that_refuses_gets_the_file_in_the_usual_way(tmp_path, memory, do):
    store = FolderStore(tmp_path, do)
    for name in ("first", "second"):
        store.put(name, file_of([memory[7:]]))
        assert (tmp_path / name).read_bytes() == b"h" * BLOCK + bytes(memory[7:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize("do", [Strict(room=2 << 20), Strict(refuses=errno.EIO)], ids=["full", "broken"])
def test_a_disk_that_is_full_or_broken_is_an_error_and_leaves_no_file(tmp_path, memory, do):
    with pytest.raises(StoreError, match="can't write"):
        FolderStore(tmp_path, do).put("file", file_of([memory]))
    assert list(tmp_path.iterdir()) == []


def test_a_real_disk_takes_them_or_they_go_the_usual_way(tmp_path, memory):
    FolderStore(tmp_path).put("file", file_of([memory[: 3 << 20], memory[5:]]))
    assert (tmp_path / "file").read_bytes() == b"h" * BLOCK + bytes(memory[: 3 << 20]) + bytes(memory[5:])
