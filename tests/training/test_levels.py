"""What is kept at outer loops' heads: copies that share no memory with what they were made of, where they pay."""

from types import SimpleNamespace

import pytest

from survivor.checkpoint.snapshot import Blob, Frozen, mark_of
from survivor.training.levels import Levels, freeze
from survivor.training.records import Level
from survivor.training.settings import Settings

MB = 1 << 20


def level(**values):
    """A level with a blob of so many bytes, each of that value, per name."""
    data = {name: memoryview(bytearray([value]) * size) for name, (value, size) in values.items()}
    return Level({}, {name: Blob(name=name, dtype="U8", shape=(len(d),), data=d) for name, d in data.items()})


def content(frozen, name):
    return set(bytes(frozen.blobs[name].data)), frozen.blobs[name].data.nbytes


def test_a_copy_does_not_follow_what_it_was_made_of():
    live = level(large=(1, 2 * MB), small=(2, 10))
    frozen = freeze(live)
    for blob in live.blobs.values():
        blob.data[:] = bytes(blob.data.nbytes)
    assert content(frozen, "large") == ({1}, 2 * MB) and content(frozen, "small") == ({2}, 10)
    with pytest.raises(TypeError):
        frozen.blobs["large"].data[0] = 9


def test_memory_of_a_level_that_went_is_used_again_and_known_as_other_bytes():
    first = freeze(level(a=(1, MB), b=(2, MB), c=(3, 2 * MB)))
    owners = {id(blob.data.obj) for blob in first.blobs.values()}
    marks = {mark_of(blob.data) for blob in first.blobs.values()}
    second = freeze(level(a=(4, MB), b=(5, MB), c=(6, 2 * MB), d=(7, MB)), first)
    assert [content(second, name)[0] for name in "abcd"] == [{4}, {5}, {6}, {7}]
    assert len({id(blob.data.obj) for blob in second.blobs.values()} & owners) == 3
    assert not marks & {mark_of(blob.data) for blob in second.blobs.values()}


def test_only_whole_unchangeable_bytes_have_a_mark():
    data = bytes(100)
    assert mark_of(memoryview(data)) is data
    assert mark_of(memoryview(data)[1:]) is None
    assert mark_of(memoryview(bytearray(100))) is None
    assert mark_of(Frozen(100).filled(memoryview(data))) is not None


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self):
        self.now += 0.5
        return self.now


def head(done, body_s, level_at=float("-inf")):
    return SimpleNamespace(done=done, site=SimpleNamespace(body_s=body_s, level_at=level_at))


def test_a_level_pays_by_what_reading_and_copying_took():
    levels = Levels(Settings(every_s=30.0, overhead=0.01), Clock())
    assert levels.pays_at_head(head(0, 0.0), 1000.0), "nothing is known of its cost yet"
    levels.captured(0.1)
    levels.copied(level(a=(1, 10)))  # half a second by this clock: 0.6 s in all
    assert not levels.pays_at_head(head(3, 2.0, level_at=990.0), 1000.0)
    assert levels.pays_at_head(head(3, 2.0, level_at=900.0), 1000.0), "once a minute is one hundredth"
    assert levels.pays_at_head(head(3, 40.0, level_at=990.0), 1000.0), "no checkpoint for longer than the user wants"
    assert not levels.pays_at_end(2.0) and levels.pays_at_end(61.0)


def test_with_a_checkpoint_at_each_safe_point_every_level_pays():
    levels = Levels(Settings(every_s=0.0, overhead=0.01), Clock())
    levels.copied(level(a=(1, 10)))
    assert levels.pays_at_head(head(0, 0.0, level_at=999.0), 1000.0) and levels.pays_at_end(0.0)
