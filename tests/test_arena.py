"""The arena between real processes: what is read is whole, whatever the writer's fate."""

import os
import random
import signal
import time

import pytest

from survivor import arena, machine
from survivor.arena import BusyError, NoMemoryError, Publisher, Reader
from survivor.arena import publisher as arena_publisher
from survivor.checkpoint.snapshot import Blob, Snapshot

MB = 1 << 20


@pytest.fixture
def slots():
    fds = arena.create()
    yield fds
    for fd in fds:
        os.close(fd)


def snapshot(number, size=4096, blobs=3, frozen=None):
    """A snapshot each byte of which is ``number``."""
    data = {f"b{i}": memoryview(bytearray([number % 256]) * (size + i)) for i in range(blobs)}
    if frozen is not None:
        data["frozen"] = memoryview(frozen)
    made = {name: Blob(name=name, dtype="U8", shape=(len(view),), data=view) for name, view in data.items()}
    return Snapshot(document={"n": number}, blobs=made, step=number, position=f"step {number}", metrics={"m": number})


def read(slots):
    with Reader(slots).open_newest() as found:
        if found is None:
            return None
        held, taken = found
        values = {value for blob in taken.blobs.values() for value in set(bytes(blob.data))}
        assert values == {taken.document["n"] % 256}, "a torn snapshot"
        return held, taken.document["n"]


def test_what_was_published_is_read_back_equal(slots):
    publisher = Publisher(slots)
    publisher.publish(snapshot(7))
    loaded = arena.load(slots)
    assert (loaded.document, loaded.metrics) == ({"n": 7}, {"m": 7.0})
    assert bytes(loaded.blobs()["b2"].data) == bytes([7]) * 4098
    assert (loaded.held.step, loaded.held.position, loaded.held.size_bytes) == (7, "step 7", 3 * 4096 + 3)


def test_an_arena_is_empty_until_something_is_published(slots):
    assert arena.newest(slots) is None and arena.load(slots) is None


def test_snapshots_of_any_size_follow_one_another(slots):
    publisher = Publisher(slots)
    for number, size in enumerate([1, 5 * MB, 100, 9 * MB, 9 * MB, 1]):
        publisher.publish(snapshot(number, size))
        assert read(slots)[1] == number


def test_another_child_goes_on_counting(slots):
    assert Publisher(slots).publish(snapshot(1)).seq == 1
    assert Publisher(slots).publish(snapshot(2)).seq == 2
    assert read(slots)[1] == 2


def test_frozen_bytes_are_whole_in_every_slot_though_they_are_copied_once_to_each(slots):
    publisher = Publisher(slots)
    for number in (1, 1, 1, 2, 2, 2, 2):
        publisher.publish(snapshot(number, frozen=FROZEN[number]))
        assert read(slots)[1] == number


FROZEN = {number: bytes([number]) * 5000 for number in (1, 2)}


def in_child(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid


def reading(slots):
    """A process that holds the newest slot, until it is killed."""
    ready = os.pipe()

    def hold():
        with Reader(slots).open_newest():
            os.write(ready[1], b".")
            signal.pause()

    pid = in_child(hold)
    os.read(ready[0], 1)
    return pid


def test_a_publisher_that_is_killed_at_any_moment_leaves_a_whole_snapshot(slots):
    """Dozens of kills in the middle of copies; the newest number that was told is never lost."""
    chance = random.Random(4)
    reached = 0
    for _ in range(40):
        told, tell = os.pipe()

        def publish_for_ever(tell=tell, first=reached + 1):
            publisher = Publisher(slots)
            for number in range(first, first + 100_000):
                publisher.publish(snapshot(number, size=MB))
                os.write(tell, number.to_bytes(4, "little"))

        pid = in_child(publish_for_ever)
        os.close(tell)
        last = int.from_bytes(os.read(told, 4), "little")
        deadline = time.monotonic() + chance.uniform(0, 0.02)
        while time.monotonic() < deadline:
            read(slots)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while data := os.read(told, 4):
            last = int.from_bytes(data, "little")
        os.close(told)
        assert read(slots)[1] >= last
        reached = read(slots)[1]
    assert reached > 40


def test_a_slot_that_is_being_read_is_left_alone(slots):
    Publisher(slots).publish(snapshot(1))
    ready, done = os.pipe(), os.pipe()

    def publish_many():
        publisher = Publisher(slots)
        for number in range(2, 12):
            publisher.publish(snapshot(number), urgent=True)
        os.write(ready[1], b".")
        os.read(done[0], 1)

    with Reader(slots).open_newest() as (held, taken):
        pid = in_child(publish_many)
        assert os.read(ready[0], 1) == b"."
        assert held.seq == 1 and set(bytes(taken.blobs["b0"].data)) == {1}
    assert read(slots)[1] == 11
    os.write(done[1], b".")
    os.waitpid(pid, 0)


def test_a_reader_that_is_killed_lets_go(slots):
    Publisher(slots).publish(snapshot(1))
    pid = reading(slots)
    publisher = Publisher(slots)
    assert [publisher.publish(snapshot(n), urgent=True).seq for n in (2, 3, 4)] == [2, 3, 4]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [publisher.publish(snapshot(n)).seq for n in (5, 6, 7)] == [5, 6, 7]


def test_a_third_slot_is_made_only_for_a_slow_store_or_a_snapshot_that_cannot_wait(slots, monkeypatch):
    monkeypatch.setattr(arena_publisher, "_SMALL_BYTES", 0)
    publisher = Publisher(slots)
    for number in (1, 2):
        publisher.publish(snapshot(number))
    pid = reading(slots)
    publisher.publish(snapshot(3))
    sizes = [os.fstat(fd).st_size for fd in slots]
    with pytest.raises(BusyError):
        publisher.publish(snapshot(4))
    assert [os.fstat(fd).st_size for fd in slots] == sizes == [*sizes[:2], 0]
    publisher.publish(snapshot(4), urgent=True)
    assert os.fstat(slots[2]).st_size
    os.ftruncate(slots[2], 0)
    monkeypatch.setattr(arena_publisher, "_SLOW_STORE_S", 0)
    assert Publisher(slots).publish(snapshot(5)).seq == 4, "the one that was lost with its slot had this number"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert read(slots)[1] == 5


def memory_of(monkeypatch, free):
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(free, 0))


def test_without_memory_for_a_slot_nothing_is_published_and_nothing_lost(slots, monkeypatch):
    publisher = Publisher(slots)
    publisher.publish(snapshot(1))
    memory_of(monkeypatch, 10 * MB)
    with pytest.raises(NoMemoryError):
        publisher.publish(snapshot(2, size=10 * MB))
    assert read(slots)[1] == 1


def test_with_memory_for_one_slot_the_next_snapshot_takes_the_place_of_the_last(slots, monkeypatch):
    publisher = Publisher(slots)
    publisher.publish(snapshot(1, size=5 * MB))
    memory_of(monkeypatch, 0)
    publisher.publish(snapshot(2, size=5 * MB))
    assert read(slots)[1] == 2


def test_with_memory_for_two_slots_a_slow_reader_keeps_the_child_waiting_and_loses_nothing(slots, monkeypatch):
    publisher = Publisher(slots)
    for number in (1, 2):
        publisher.publish(snapshot(number))
    memory_of(monkeypatch, 0)
    pid = reading(slots)
    publisher.publish(snapshot(3))
    with pytest.raises(BusyError):
        publisher.publish(snapshot(4))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert read(slots)[1] == 3
    assert publisher.publish(snapshot(4)).seq == 4


def test_the_limit_of_a_container_counts_and_files_in_its_cache_do_not(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable:  600 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/job/inner\n")
    inner = tmp_path / "sys/fs/cgroup/job/inner"
    inner.mkdir(parents=True)
    assert machine.memory(tmp_path).free_bytes == 600 * 1024
    (inner.parent / "memory.max").write_text("500000\n")
    (inner.parent / "memory.current").write_text("400000\n")
    (inner.parent / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert machine.memory(tmp_path) == machine.Memory(500_000, 300_000)
    assert machine.oom_kills(tmp_path) == 2


def test_memory_that_is_being_touched_is_not_written_to_unless_it_must_be(slots):
    publisher = Publisher(slots)
    publisher.publish(snapshot(1, size=1))
    large = snapshot(2, size=4 * MB)
    assert publisher.unprepared_bytes(large) > 0 and not publisher.has_room(large)
    publisher.prepare(publisher.unprepared_bytes(large))
    assert publisher.unprepared_bytes(large) > 0 and publisher.has_room(large)  # one slot holds the newest
    publisher.publish(large)
    assert not publisher.has_room(large)
    publisher.prepare(publisher.unprepared_bytes(large))
    assert publisher.unprepared_bytes(large) == 0 and publisher.has_room(large)
    slot = next(slot for slot in publisher._slots if slot is not publisher._newest())
    slot.being_touched = True
    assert publisher.unprepared_bytes(large) > 0 and not publisher.has_room(large)
