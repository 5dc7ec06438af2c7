"""Whatever happens to a file of a job folder is found, and never restored."""

import os
import random
import shutil

import pytest
from jobfolder import assert_exact, content, files, snapshot

from survivor.checkpoint.checking import check_job
from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.errors import StoreError


@pytest.fixture
def folder(ram):
    """A job of three checkpoints that share packs, with all kinds of records."""
    repository = Repository.open(ram / "whole", "job")
    for session in (1, 2):
        lease = Lease.acquire(repository.store, "job", session=session)
        record = SessionRecord.begin(repository, pid=1)
        JobRecord(argv=("train.py",), script="train.py", source="pass").write(repository)
        for step in (2 * session - 1, 2 * session):
            blobs = {"frozen": content("frozen", 700), "moving": content(str(step), 300), "empty": b""}
            repository.commit(snapshot(step, blobs), session=session, token=lease.token)
        lease.refresh()
        record.end(repository, "done")
        lease.release()
    return repository.store.root


def needs(root):
    """Which files each checkpoint needs, by step."""
    repository = Repository.open(root, "job")
    return {
        info.step: {
            f"job/checkpoints/{info.name}.json",
            *(f"job/packs/{ref.pack.stamp}.safetensors" for ref in repository.open_checkpoint(info.name).refs.values()),
        }
        for info in repository.list()
    }


def judge(root, needed, damaged, *, dead_bytes=False):
    """The newest checkpoint that does not need the damaged files is restored, exactly, and no other.

    With ``dead_bytes`` the damage may lie in a part of a pack that a newer one does not need.
    """
    repository = Repository.open(root, "job")
    expected = max((step for step, names in needed.items() if not names & damaged), default=None)
    try:
        found = repository.newest()
    except StoreError:
        # what can't be opened at all is no empty job
        assert expected is None
        return
    step = found.step if found else None
    assert step == expected or (dead_bytes and found and step > (expected or 0))
    if found:
        assert_exact(found)
    if step != max(needed):
        assert repository.problems, "a newer checkpoint was passed over without a word"


def found_by_check(root, damaged):
    result = check_job(Repository.open(root, "job"))
    told = {finding.file for finding in result.findings}
    words = " ".join(finding.why for finding in result.findings)
    return all(name in told or name in words for name in damaged)


def broken(folder, name, data):
    """Put other bytes (None: nothing) into one file, run the body of the loop, and restore it."""
    path = folder / name
    whole = path.read_bytes()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    yield
    path.write_bytes(whole)


def test_an_undamaged_folder_is_found_whole(folder):
    result = check_job(Repository.open(folder, "job"))
    assert result.findings == [] and result.leftovers == []
    assert [info.good for info in result.checkpoints] == [True] * 4
    assert result.files == len(files(folder))
    assert result.read_bytes == sum(path.stat().st_size for path in files(folder))


def test_every_flipped_bit_is_found_and_nothing_wrong_is_restored(folder):
    needed, chance = needs(folder), random.Random(1)
    for path in files(folder):
        name = str(path.relative_to(folder))
        whole = path.read_bytes()
        for position in sorted(chance.sample(range(len(whole)), min(60, len(whole)))):
            data = bytearray(whole)
            data[position] ^= 1 << chance.randrange(8)
            for _ in broken(folder, name, data):
                judge(folder, needed, {name}, dead_bytes=name.startswith("job/packs/"))
                assert found_by_check(folder, {name}), (name, position)


@pytest.mark.parametrize("cut", ["empty", "half", "first", "last", "longer", "doubled", "zeros"])
def test_every_truncated_or_overwritten_file_is_found(folder, cut):
    needed = needs(folder)
    for path in files(folder):
        name, whole = str(path.relative_to(folder)), path.read_bytes()
        data = {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "first": whole[1:],
            "last": whole[:-1],
            "longer": whole + b"\n",
            "doubled": whole * 2,
            "zeros": bytes(len(whole)),
        }[cut]
        for _ in broken(folder, name, data):
            judge(folder, needed, {name})
            assert found_by_check(folder, {name}), name


def test_every_file_swapped_with_another_is_found(folder):
    needed = needs(folder)
    names = [str(path.relative_to(folder)) for path in files(folder)]
    for one, other in ((a, b) for a in names for b in names if a < b):
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        for _ in broken(folder, one, second):
            for _ in broken(folder, other, first):
                judge(folder, needed, {one, other})
                assert found_by_check(folder, {one, other}), (one, other)


def test_every_deleted_file_is_found(folder):
    needed = needs(folder)
    # that the last one is gone nothing can tell: the one before counts then
    last_record = max(files(folder / "job/job"))
    for path in files(folder):
        name = str(path.relative_to(folder))
        for _ in broken(folder, name, None):
            judge(folder, needed, {name})
            result = check_job(Repository.open(folder, "job"))
            if name.startswith("job/checkpoints/"):
                # a checkpoint without its manifest is none, as if it had been pruned
                continue
            if not name.endswith((".beat.json", ".end.json")) and path != last_record:
                assert result.findings, name


def test_a_file_that_became_a_link_or_a_folder_is_not_followed(folder, tmp_path):
    needed = needs(folder)
    for path in files(folder):
        name = str(path.relative_to(folder))
        for make in (os.symlink, lambda _, path: os.mkdir(path), lambda _, path: os.mkfifo(path)):
            outside = tmp_path / "outside"
            shutil.copyfile(path, outside)
            for _ in broken(folder, name, None):
                make(outside, path)
                judge(folder, needed, {name})
                path.rmdir() if path.is_dir() else path.unlink()


def test_a_folder_that_became_a_link_is_not_followed(folder, tmp_path):
    shutil.move(folder / "job/packs", tmp_path / "packs")
    (folder / "job/packs").symlink_to(tmp_path / "packs")
    repository = Repository.open(folder, "job")
    with pytest.raises(StoreError) as raised:
        repository.newest()
    assert "link" in raised.value.advice
