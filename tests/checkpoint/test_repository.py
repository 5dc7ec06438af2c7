"""A repository gives back what was committed, writes bytes once, and falls back when something is wrong."""

import json
import os
import time

import numpy as np
import pytest
import torch
from jobfolder import assert_exact, blob, content, files, snapshot
from safetensors.torch import load_file

from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import FormatError, JobRunningError, UsageError
from survivor.store import FolderStore
from survivor.store.base import AbsentError

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16, "I16": torch.int16,
    "U32": torch.uint32, "I32": torch.int32, "U64": torch.uint64, "I64": torch.int64, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip


@pytest.fixture
def repository(tmp_path):
    return Repository.open(tmp_path, "job")


def again(repository):
    """The same folder as another process sees it."""
    return Repository(FolderStore(repository.store.root), repository.job)


def test_a_job_without_checkpoints_has_none(repository):
    assert repository.newest() is None
    assert repository.list() == []
    assert repository.problems == []
    assert not repository.store.root.joinpath("job").exists()


@pytest.mark.parametrize("load", [False, True])
def test_what_was_committed_comes_back(repository, load):
    info = repository.commit(
        snapshot(7, metrics={"loss": 0.5, "bad": float("nan"), "worse": float("-inf")}),
        session=2,
        token=1,
        origin={"torch": "2.11"},
    )
    found = again(repository).newest(load=load)
    assert_exact(found)
    assert found.info.name == info.name
    assert (found.step, found.position, found.info.session) == (7, "batch 7", 2)
    assert found.metrics["loss"] == 0.5
    assert np.isnan(found.metrics["bad"]) and found.metrics["worse"] == float("-inf")
    assert found.info.origin == {"torch": "2.11"}
    assert found.info.good is True
    assert abs(found.info.time - time.time()) < 60


def test_a_document_may_hold_any_json(repository):
    document = {"s": '\ud800 ü \0 " \\ [', "i": -(2**63), "f": [0.1, -0.0, 5e-324], "n": None, "d": {"": {}}}
    repository.commit(Snapshot(document=document, blobs={}, step=1, position=""), session=1, token=1)
    assert json.dumps(again(repository).newest().document) == json.dumps(document)


def test_a_large_document_is_compressed_and_comes_back(repository):
    document = {"list": list(range(300_000)), "brackets": "[" * 10_000}
    repository.commit(Snapshot(document=document, blobs={}, step=1, position=""), session=1, token=1)
    assert again(repository).newest().document == document
    (manifest,) = files(repository.store.root / "job/checkpoints")
    assert manifest.stat().st_size < 1_000_000


@pytest.mark.parametrize("document", [float("nan"), {1, 2}, b"bytes", object(), [[]] * 3 + [float("inf")]])
def test_what_is_no_json_is_refused_and_leaves_nothing_committed(repository, document):
    with pytest.raises(FormatError):
        repository.commit(Snapshot(document=document, blobs={}, step=1, position=""), session=1, token=1)
    assert again(repository).newest() is None


def test_nesting_is_bounded_when_written(repository):
    document = None
    for _ in range(600):
        document = [document]
    with pytest.raises(FormatError, match="nested"):
        repository.commit(Snapshot(document=document, blobs={}, step=1, position=""), session=1, token=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_by_safetensors_with_its_bits(repository, dtype):
    size = torch.empty(0, dtype=DTYPES[dtype]).element_size()
    data = content(dtype, 6 * size) if dtype != "BOOL" else bytes([0, 1, 1, 0, 1, 0])
    blobs = {
        "odd": blob("odd", b"\1\2\3"),
        "matrix": blob("matrix", data, dtype, (2, 3)),
        "scalar": blob("scalar", data[:size], dtype, ()),
        "empty": blob("empty", b"", dtype, (0, 5)),
    }
    repository.commit(Snapshot(document=None, blobs=blobs, step=1, position=""), session=1, token=1)
    (pack,) = files(repository.store.root / "job/packs")
    loaded = load_file(pack)
    assert loaded["matrix"].dtype == DTYPES[dtype] and loaded["matrix"].shape == (2, 3)
    assert loaded["scalar"].shape == () and loaded["empty"].shape == (0, 5)
    assert loaded["matrix"].reshape(-1).view(torch.uint8).numpy().tobytes() == data
    found = again(repository).newest()
    assert {name: bytes(found.blob(name).data) for name in blobs} == {name: bytes(blobs[name].data) for name in blobs}
    assert {name: (b.dtype, b.shape) for name, b in found.blobs().items()} == {
        name: (b.dtype, b.shape) for name, b in blobs.items()
    }


def test_tensors_are_aligned_to_their_elements(repository):
    blobs = {
        "a": blob("a", b"\1"),
        "b": blob("b", bytes(8), "F64", (1,)),
        "c": blob("c", bytes(6), "BF16", (3,)),
    }
    repository.commit(Snapshot(document=None, blobs=blobs, step=1, position=""), session=1, token=1)
    offsets = {name: ref.offset for name, ref in again(repository).newest().refs.items()}
    assert offsets["b"] % 64 == 0 and offsets["c"] % 2 == 0


def test_a_blob_that_is_not_what_it_says_is_refused(repository):
    wrong = [
        blob("x", bytes(3), "F32", (1,)),
        blob("x", bytes(4), "F99", (1,)),
        blob("y", bytes(1)),
        blob("x", bytes(1), "F4", (1,)),
        Blob(name="x", dtype="F32", shape=(2,), data=memoryview(np.zeros(2, "f4"))),
    ]
    for made in wrong:
        with pytest.raises(FormatError):
            repository.commit(Snapshot(document=None, blobs={"x": made}, step=1, position=""), session=1, token=1)
    for name in ("", "__metadata__", "a\nb", "\ud800", "x" * 2000):
        with pytest.raises(FormatError):
            repository.commit(snapshot(1, {name: b"x"}), session=1, token=1)
    assert again(repository).newest() is None


def test_a_frozen_base_is_stored_once(repository):
    base = content("base", 990_000)
    first = repository.commit(snapshot(1, {"base": base, "head": content("1", 10_000)}), session=1, token=1)
    second = repository.commit(snapshot(2, {"base": base, "head": content("2", 10_000)}), session=1, token=1)
    assert first.new_bytes > 1_000_000
    assert second.new_bytes < 11_000
    assert second.size_bytes == first.size_bytes
    # another process goes on from what is there
    third = again(repository).commit(snapshot(3, {"base": base, "head": content("3", 10_000)}), session=2, token=2)
    assert third.new_bytes < 11_000
    found = again(repository).newest()
    assert found.step == 3
    assert_exact(found)


def test_nothing_new_writes_no_pack(repository):
    repository.commit(snapshot(1, {"a": b"same"}), session=1, token=1)
    info = repository.commit(snapshot(2, {"b": b"same"}), session=1, token=1)
    assert info.new_bytes == 0
    assert len(files(repository.store.root / "job/packs")) == 1
    assert_exact(again(repository).newest())


@pytest.mark.parametrize("load", [False, True])
def test_equal_tensors_are_stored_once_and_come_back_apart(repository, load):
    repository.commit(snapshot(1, {"a": bytes(1000), "b": bytes(1000)}), session=1, token=1)
    (pack,) = files(repository.store.root / "job/packs")
    assert pack.stat().st_size < 1500
    found = again(repository).newest(load=load)
    one, two = found.blob("a").data, found.blob("b").data
    one[0] = 255
    assert two[0] == 0
    assert found.blob("a").data[0] == 0


def test_bytes_of_another_shape_are_another_tensor(repository):
    blobs = {
        "a": blob("a", bytes(8), "F32", (2,)),
        "b": blob("b", bytes(8), "F32", (1, 2)),
        "c": blob("c", bytes(8)),
    }
    repository.commit(Snapshot(document=None, blobs=blobs, step=1, position=""), session=1, token=1)
    (pack,) = files(repository.store.root / "job/packs")
    assert load_file(pack).keys() == {"a", "b", "c"}


def test_what_survives_in_a_mostly_dead_pack_moves_to_one_of_its_own(repository):
    """40 % never change: they are copied once, and from then on stored once."""
    sizes = []
    for step in range(1, 6):
        blobs = {"frozen": content("frozen", 40_000), "moving": content(f"m{step}", 60_000)}
        sizes.append(repository.commit(snapshot(step, blobs), session=1, token=1).new_bytes)
    assert [round(size / 10_000) for size in sizes] == [10, 10, 6, 6, 6]
    assert_exact(again(repository).newest())
    assert {ref.pack.stamp.step for ref in again(repository).newest().refs.values()} == {2, 5}


def test_rotten_bytes_are_not_referred_to(repository):
    base = content("base", 100_000)
    repository.commit(snapshot(1, {"base": base, "head": b"1"}), session=1, token=1)
    (pack,) = files(repository.store.root / "job/packs")
    data = bytearray(pack.read_bytes())
    data[-50_000] ^= 1
    pack.write_bytes(data)
    later = again(repository)
    info = later.commit(snapshot(2, {"base": base, "head": b"2"}), session=2, token=2)
    assert info.new_bytes > 100_000
    assert_exact(again(repository).newest())


def test_a_pack_that_vanished_is_written_again(repository):
    base = content("base", 10_000)
    repository.commit(snapshot(1, {"base": base}), session=1, token=1)
    for pack in files(repository.store.root / "job/packs"):
        pack.unlink()
    assert repository.commit(snapshot(2, {"base": base}), session=1, token=1).new_bytes > 10_000
    assert_exact(again(repository).newest())


def test_the_newest_is_that_of_the_latest_holder_then_of_the_latest_step(repository):
    # no lease files here: the holder of token 1 does not notice that it was taken over
    for token, step in ((1, 5), (1, 30), (2, 20), (2, 9), (1, 40)):
        repository.commit(snapshot(step), session=token, token=token)
    assert again(repository).newest().step == 20
    assert [info.step for info in again(repository).list()] == [5, 30, 40, 9, 20]


def test_a_second_commit_of_one_step_is_newer(repository):
    for label in "abc":
        Repository(repository.store, "job").commit(snapshot(5, {"x": label.encode()}), session=1, token=1)
        assert bytes(again(repository).newest().blob("x").data) == label.encode()
    assert len(repository.list()) == 3


def test_files_are_never_written_again(repository):
    seen = {}
    for step in range(1, 5):
        repository.commit(snapshot(step), session=1, token=1)
        for path, before in seen.items():
            assert (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) == before
        for path in files(repository.store.root):
            seen[path] = (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())


def test_a_damaged_checkpoint_is_passed_over_with_a_word(repository):
    for step in (1, 2, 3):
        repository.commit(snapshot(step), session=1, token=1)
    manifests = files(repository.store.root / "job/checkpoints")
    manifests[2].write_bytes(manifests[2].read_bytes()[:-1])
    manifests[1].write_bytes(b"")
    later = again(repository)
    assert later.newest().step == 1
    assert [problem.checkpoint for problem in later.problems] == [manifests[2].stem, manifests[1].stem]
    assert all("seal" in problem.why for problem in later.problems)
    assert [info.good for info in later.list()] == [True, False, False]


def test_a_job_whose_checkpoints_are_all_damaged_says_so(repository):
    repository.commit(snapshot(1), session=1, token=1)
    for manifest in files(repository.store.root / "job/checkpoints"):
        manifest.write_bytes(b"torn")
    later = again(repository)
    assert later.newest() is None
    assert len(later.problems) == 1


def test_foreign_files_are_ignored(repository):
    repository.commit(snapshot(1), session=1, token=1)
    folder = repository.store.root / "job/checkpoints"
    for name in ("notes.txt", "x.json", "99999999-0000000001-01-abcdefgh.json", "0-0-0-0.json", ".hidden"):
        (folder / name).write_bytes(b"{}")
    (folder / "99999999-0000000001-01-abcdefab.json").mkdir()
    (folder / "99999999-0000000002-01-abcdefab.json").symlink_to("/etc/passwd")
    later = again(repository)
    assert later.newest().step == 1
    assert later.problems == []


def test_a_job_is_set_aside_whole(repository):
    repository.commit(snapshot(1), session=1, token=1)
    name = repository.set_aside()
    assert name.startswith("job-2")
    assert repository.newest() is None
    assert Repository(repository.store, name).newest().step == 1
    repository.commit(snapshot(2), session=1, token=1)
    second = repository.set_aside()
    assert second != name
    assert Repository(repository.store, second).newest().step == 2
    assert_exact(Repository(repository.store, second).newest())
    with pytest.raises(AbsentError):
        repository.set_aside()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 101, "ü", "a b"])
def test_a_job_name_can_not_lead_elsewhere(tmp_path, name):
    with pytest.raises(UsageError):
        Repository.open(tmp_path, name)


def test_ten_thousand_small_tensors_are_one_pack_and_few_calls(repository, monkeypatch):
    blobs = {f"layer.{number}.weight": content(str(number), 64) for number in range(10_000)}
    calls = []
    write = os.writev
    monkeypatch.setattr(os, "writev", lambda *args: calls.append(1) or write(*args))
    start = time.perf_counter()
    repository.commit(snapshot(1, blobs), session=1, token=1)
    found = again(repository).newest(load=True)
    assert len(calls) < 40
    # generous: about 0.4 s on an idle core
    assert time.perf_counter() - start < 20
    assert_exact(found)


def test_a_taken_over_holder_writes_nothing(repository):
    from survivor.checkpoint.lease import Lease

    first = Lease.acquire(repository.store, "job", session=1)
    repository.commit(snapshot(1), session=1, token=first.token)
    second = Lease.acquire(repository.store, "job", session=2, take_over=True)
    before = files(repository.store.root)
    with pytest.raises(JobRunningError, match="session 2"):
        repository.commit(snapshot(2), session=1, token=first.token)
    assert files(repository.store.root) == before
    again(repository).commit(snapshot(3), session=2, token=second.token)


def test_large_tensors_that_change_are_hashed_as_they_are_written_and_those_that_stop_are_stored_once(tmp_path):
    size, repository = 3 << 20, Repository(FolderStore(tmp_path), "job")
    small = content("small", 100)
    for step in range(1, 7):
        large = content(f"large {min(step, 4)}", size)
        info = repository.commit(snapshot(step, {"large": large, "small": small}), session=1, token=1)
        # in the first step after it has stopped it is still written; from then on it is known
        assert (info.new_bytes >= size) == (step <= 5)
        assert_exact(Repository(FolderStore(tmp_path), "job").newest())


def test_a_large_frozen_base_is_not_written_again_by_the_second_commit(tmp_path):
    size, repository = 3 << 20, Repository(FolderStore(tmp_path), "job")
    base = content("base", size)
    written = [
        repository.commit(snapshot(step, {"base": base, "head": content(f"{step}", 100)}), session=1, token=1).new_bytes
        for step in range(1, 4)
    ]
    assert written[0] >= size and max(written[1:]) < size
