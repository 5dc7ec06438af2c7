"""Retention keeps several good generations and what they need, whatever else is wrong."""

import dataclasses
import os
import time

import pytest
from jobfolder import assert_exact, content, files, snapshot

from survivor.checkpoint.reading import CheckpointInfo
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention, best, kept
from survivor.errors import JobRunningError, UsageError
from survivor.store import FolderStore

LAST = Retention(keep=1, hourly=0)


@pytest.fixture
def repository(ram):
    return Repository.open(ram, "job")


def again(repository):
    return Repository(FolderStore(repository.store.root), "job")


def line(name, hour=0.0, **metrics):
    return CheckpointInfo(name=str(name), time=hour * 3600.0, metrics=metrics)


def steps(repository):
    return [info.step for info in repository.list()]


def test_the_newest_stay():
    assert kept([line(n) for n in range(10)], Retention(keep=3, hourly=0)) == {"7", "8", "9"}


def test_the_newest_of_each_hour_stays():
    infos = [line(n, hour=n / 4) for n in range(20)]
    assert kept(infos, Retention(keep=1, hourly=3)) == {"11", "15", "19"}
    # hours without one don't count
    assert kept([line(0, 0.5), line(1, 100.5)], Retention(keep=1, hourly=2)) == {"0", "1"}


def test_the_best_stays_and_the_first_of_equals_is_best():
    infos = [line(0, loss=3.0), line(1, loss=1.0, acc=0.5), line(2, loss=1.0), line(3, loss=float("nan")), line(4)]
    policy = Retention(keep=1, hourly=0, best=("min:loss", "max:acc", "min:other"))
    assert kept(infos, policy) == {"4", "1"}
    assert best(infos, "max:loss").name == "0"
    assert best(infos, "min:nothing") is None


def test_a_wrong_policy_is_told_all_at_once():
    with pytest.raises(UsageError, match=r"keep.*hourly.*'loss'") as raised:
        Retention(keep=0, hourly=-1, best=("loss", "min:loss"))
    assert "--keep" in raised.value.advice


def test_what_is_not_kept_is_removed_with_the_packs_only_it_needed(repository):
    for step in range(1, 6):
        repository.commit(snapshot(step), session=1, token=1)
    done = repository.prune(LAST, token=1)
    assert steps(again(repository)) == [5]
    assert len(done.checkpoints) == 4 and done.freed_bytes > 3000
    # the base of the first commit is still needed
    assert [path.name[9:19] for path in files(repository.store.root / "job/packs")] == ["0000000001", "0000000005"]
    assert_exact(again(repository).newest())


def test_pruning_twice_removes_nothing_more(repository):
    for step in range(1, 4):
        repository.commit(snapshot(step), session=1, token=1)
    repository.prune(LAST, token=1)
    done = again(repository).prune(LAST, token=1)
    assert done.checkpoints == [] and not done.packs


def test_the_best_checkpoint_is_kept_whole(repository):
    for step, loss in enumerate([5.0, 1.0, 3.0, 4.0], start=1):
        repository.commit(snapshot(step, metrics={"loss": loss}), session=1, token=1)
        repository.prune(Retention(keep=1, hourly=0, best=("min:loss",)), token=1)
    assert steps(again(repository)) == [2, 4]
    info = best(again(repository).list(), "min:loss")
    assert_exact(again(repository).open_checkpoint(info.name))


def test_a_rotten_newest_checkpoint_does_not_cost_the_good_one_before(repository):
    """Its manifest and the length of its pack look right: only reading tells."""
    for step in (1, 2, 3):
        repository.commit(snapshot(step, {"x": content(str(step), 1000)}), session=1, token=1)
    pack = files(repository.store.root / "job/packs")[-1]
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    later = again(repository)
    later.prune(LAST, token=2)
    assert again(repository).newest().step == 2
    assert steps(again(repository)) == [2, 3]


def test_when_nothing_is_good_nothing_is_removed(repository):
    for step in (1, 2):
        repository.commit(snapshot(step, {"x": content(str(step), 1000)}), session=1, token=1)
    before = files(repository.store.root)
    for pack in files(repository.store.root / "job/packs"):
        pack.write_bytes(bytes(pack.stat().st_size))
    again(repository).prune(LAST, token=2)
    assert files(repository.store.root) == before


def test_damaged_checkpoints_go_when_a_newer_one_is_good(repository):
    for step in (1, 2, 3):
        repository.commit(snapshot(step), session=1, token=1)
    first, _, last = files(repository.store.root / "job/checkpoints")
    first.write_bytes(b"")
    last.write_bytes(b"")
    again(repository).prune(LAST, token=1)
    assert [path.stat().st_size > 0 for path in files(repository.store.root / "job/checkpoints")] == [True, False]
    assert again(repository).newest().step == 2


def test_packs_that_nothing_names_stay_for_a_day(repository):
    """A mounted Drive may hide a manifest for a while: absence proves nothing."""
    repository.commit(snapshot(1, {"x": b"one"}), session=1, token=1)
    hidden = files(repository.store.root / "job/checkpoints")[0]
    elsewhere = repository.store.root / "hidden.json"
    os.rename(hidden, elsewhere)
    later = again(repository)
    later.commit(snapshot(2, {"x": b"two"}), session=2, token=2)
    later.prune(LAST, token=2)
    os.rename(elsewhere, hidden)
    assert [info.good for info in again(repository).list()] == [None, None]
    os.rename(hidden, elsewhere)
    old = time.time() - 25 * 3600
    orphan = files(repository.store.root / "job/packs")[0]
    os.utime(orphan, (old, old))
    # not by the holder that may just have written it
    again(repository).prune(LAST, token=1)
    assert orphan.exists()
    again(repository).prune(LAST, token=2)
    assert not orphan.exists()
    assert again(repository).newest().step == 2


def test_files_that_were_being_written_go_after_a_day(repository):
    repository.commit(snapshot(1), session=1, token=1)
    parts = [repository.store.root / f"job/{place}/x.{n}.part" for n, place in enumerate(("packs", "checkpoints"))]
    for part in parts:
        part.write_bytes(b"half")
    repository.prune(LAST, token=1)
    assert all(part.exists() for part in parts)
    for part in parts:
        os.utime(part, (0, 0))
    repository.prune(LAST, token=1)
    assert not any(part.exists() for part in parts)


def test_packs_of_a_commit_that_failed_go_at_once(repository, monkeypatch):
    repository.commit(snapshot(1), session=1, token=1)
    from survivor.checkpoint import manifest
    from survivor.errors import StoreError

    def fail(*_):
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", fail)
        with pytest.raises(StoreError):
            repository.commit(snapshot(2), session=1, token=1)
    assert len(files(repository.store.root / "job/packs")) == 1
    assert_exact(again(repository).newest())


def test_who_was_taken_over_removes_nothing(repository):
    from survivor.checkpoint.lease import Lease

    first = Lease.acquire(repository.store, "job", session=1)
    for step in (1, 2):
        repository.commit(snapshot(step), session=1, token=first.token)
    Lease.acquire(repository.store, "job", session=2, take_over=True)
    before = files(repository.store.root)
    with pytest.raises(JobRunningError):
        repository.prune(LAST, token=first.token)
    assert files(repository.store.root) == before


def test_a_long_run_needs_no_more_room_than_its_generations(repository):
    """40 % frozen, 60 % moving: three generations are 0.4 + 3 × 0.6 of one, and packs stay few."""
    for step in range(1, 40):
        blobs = {"frozen": content("frozen", 40_000), "moving": content(str(step), 60_000)}
        repository.commit(snapshot(step, blobs), session=1, token=1)
        repository.prune(Retention(keep=3, hourly=0), token=1)
    sizes = [path.stat().st_size for path in files(repository.store.root / "job/packs")]
    assert sum(sizes) < 230_000
    assert len(sizes) == 4


def test_the_repository_forgets_removed_packs(repository):
    """Otherwise a commit could refer to a tensor that prune has just removed."""
    repository.commit(snapshot(1, {"x": b"first"}), session=1, token=1)
    repository.commit(snapshot(2, {"x": b"second"}), session=1, token=1)
    repository.prune(LAST, token=1)
    info = repository.commit(snapshot(3, {"x": b"first"}), session=1, token=1)
    assert info.new_bytes > 0
    assert_exact(again(repository).newest())


def test_infos_are_plain_data(repository):
    info = repository.commit(snapshot(1, metrics={"a": 1.0}), session=1, token=1)
    assert dataclasses.asdict(info)["metrics"] == {"a": 1.0}
