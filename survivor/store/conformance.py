"""What every store must do, as tests. To try an implementation, subclass and give it a fixture::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)

Needs pytest; nothing else of survivor imports this module.
"""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from survivor.errors import StoreError
from survivor.store.base import AbsentError, Chunk, Store


class StoreConformance:
    """Each test states a fact about a store that is empty when it begins.

    Attributes:
        exclusive: whether ``put_if_absent`` has one winner among callers at once. A mounted Drive can't
            promise it.
        whole: whether a failed ``put`` leaves the old content. Readers don't rely on it: they know sizes
            and digests.
    """

    exclusive = True
    whole = True

    def test_what_was_put_comes_back(self, store: Store) -> None:
        assert store.put("job/a/x.bin", [b"abc", bytearray(b"def"), memoryview(b"ghi")]) == 9
        assert bytes(store.get("job/a/x.bin")) == b"abcdefghi"
        assert store.size("job/a/x.bin") == 9

    def test_a_part_comes_back(self, store: Store) -> None:
        store.put("job/x", [bytes(range(100))])
        assert bytes(store.get("job/x", 10, 5)) == bytes(range(10, 15))
        assert bytes(store.get("job/x", 90)) == bytes(range(90, 100))
        assert bytes(store.get("job/x", 40, 0)) == b""

    def test_a_part_beyond_the_end_is_an_error(self, store: Store) -> None:
        store.put("job/x", [b"abc"])
        with pytest.raises(StoreError):
            store.get("job/x", 1, 3)
        with pytest.raises(StoreError):
            store.get("job/x", -1, 2)

    def test_an_empty_file_is_a_file(self, store: Store) -> None:
        assert store.put("job/empty", []) == 0
        assert store.size("job/empty") == 0
        assert bytes(store.get("job/empty")) == b""

    def test_many_small_and_some_large_chunks_arrive_in_order(self, store: Store) -> None:
        chunks: list[Chunk] = [bytes([number % 251]) * (number % 7) for number in range(3000)]
        chunks.insert(1500, bytes(5 << 20))
        assert store.put("job/many", chunks) == sum(map(len, chunks))
        assert bytes(store.get("job/many")) == b"".join(chunks)

    def test_what_comes_back_is_fresh_and_writable(self, store: Store) -> None:
        store.put("job/x", [b"abc" * 1_000_000])
        first = store.get("job/x")
        first[0] = 0
        assert bytes(store.get("job/x", 0, 3)) == b"abc"

    def test_a_second_put_replaces(self, store: Store) -> None:
        store.put("job/x", [b"long first content"])
        store.put("job/x", [b"second"])
        assert bytes(store.get("job/x")) == b"second"

    def test_a_put_that_fails_midway_leaves_no_new_content(self, store: Store) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise RuntimeError("stop")

        store.put("job/x", [b"old"])
        with pytest.raises((RuntimeError, StoreError)):
            store.put("job/x", broken())
        with pytest.raises((RuntimeError, StoreError)):
            store.put("job/y", broken())
        if not self.whole:
            return
        assert bytes(store.get("job/x")) == b"old"
        assert [entry.name for entry in store.files("job")] == ["job/x"]

    def test_what_is_not_there_is_absent(self, store: Store) -> None:
        for read in (store.get, store.size):
            with pytest.raises(AbsentError):
                read("job/nothing")
        with pytest.raises(AbsentError):
            store.move("nothing", "else")

    def test_a_listing_has_the_files_of_one_folder(self, store: Store) -> None:
        store.put("job/a/one", [b"1"])
        store.put("job/a/two", [b"22"])
        store.put("job/a/deeper/three", [b"333"])
        store.put("job/ab", [b"4444"])
        assert {(entry.name, entry.size_bytes) for entry in store.files("job/a")} == {
            ("job/a/one", 1),
            ("job/a/two", 2),
        }
        assert store.files("job/none") == []
        assert store.folders("job") == ["a"]
        assert store.folders("") == ["job"]

    def test_delete_removes_and_may_be_repeated(self, store: Store) -> None:
        store.put("job/x", [b"abc"])
        store.delete("job/x")
        store.delete("job/x")
        assert store.files("job") == []
        with pytest.raises(AbsentError):
            store.get("job/x")

    def test_a_taken_name_stays_as_it_is(self, store: Store) -> None:
        assert store.put_if_absent("job/lease", b"first") is True
        assert store.put_if_absent("job/lease", b"second") is False
        assert bytes(store.get("job/lease")) == b"first"
        assert len(store.files("job")) == 1

    def test_of_many_who_create_at_once_one_wins(self, store: Store) -> None:
        if not self.exclusive:
            pytest.skip("this store can't promise it")
        with ThreadPoolExecutor(8) as pool:
            for turn in range(5):
                name = f"job/lease-{turn}"
                claims = [str(number).encode() for number in range(8)]
                won = list(pool.map(lambda claim, name=name: store.put_if_absent(name, claim), claims))
                assert won.count(True) == 1
                assert bytes(store.get(name)) == claims[won.index(True)]

    def test_names_that_lead_elsewhere_are_refused(self, store: Store) -> None:
        for name in ("../x", "/etc/passwd", "a//b", "a/../b", "a/./b", "", "a\0b", "a\nb", ".hidden", "a/"):
            for attempt in (store.get, store.size, store.delete):
                with pytest.raises(StoreError):
                    attempt(name)
            with pytest.raises(StoreError):
                store.put(name, [b"x"])
            with pytest.raises(StoreError):
                store.put_if_absent(name, b"x")

    def test_a_folder_moves_with_all_that_is_in_it(self, store: Store) -> None:
        store.put("job/a/one", [b"1"])
        store.put("job/two", [b"2"])
        store.move("job", "job-old")
        assert bytes(store.get("job-old/a/one")) == b"1"
        assert bytes(store.get("job-old/two")) == b"2"
        assert store.folders("") == ["job-old"]

    def test_a_folder_does_not_move_onto_another(self, store: Store) -> None:
        store.put("one/x", [b"1"])
        store.put("two/y", [b"2"])
        with pytest.raises(StoreError):
            store.move("one", "two")
        assert bytes(store.get("one/x")) == b"1"
