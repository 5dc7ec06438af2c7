"""Every store passes the public conformance suite; the S3 one against a real server on loopback."""

import os
import secrets
import stat

import pytest

from survivor.checkpoint.checking import check_job
from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import JobRunningError, StoreError, UsageError
from survivor.store import FolderStore, open_store
from survivor.store.conformance import StoreConformance
from survivor.store.remote import RemoteStore


class TestFolder(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        return FolderStore(tmp_path / "store")


class TestMemory(StoreConformance):
    # fsspec's memory file system looks and then writes, and shows a file from its first byte on
    exclusive = False
    whole = False

    @pytest.fixture
    def store(self):
        return RemoteStore(f"memory://{secrets.token_hex(4)}")


class TestFileUrl(StoreConformance):
    exclusive = False

    @pytest.fixture
    def store(self, tmp_path):
        return RemoteStore(f"file://{tmp_path}/store")


class TestS3(StoreConformance):
    @pytest.fixture
    def store(self, s3_server, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
        import s3fs

        bucket = f"bucket-{secrets.token_hex(4)}"
        s3fs.S3FileSystem().mkdir(bucket)
        return open_store(f"s3://{bucket}/some/prefix")

    def test_a_job_lives_here_as_in_a_folder(self, store):
        live_a_job(store)


def test_a_job_lives_in_memory_as_in_a_folder():
    live_a_job(RemoteStore(f"memory://{secrets.token_hex(4)}"))


def live_a_job(store):
    """All that a session does with a job folder, then a second session, then the job is set aside."""
    base = bytes(100_000)
    for session in (1, 2):
        repository = Repository(store, "job")
        lease = Lease.acquire(store, "job", session=session)
        with pytest.raises(JobRunningError):
            Lease.acquire(store, "job", session=9)
        SessionRecord.begin(repository, pid=1).end(repository, "done")
        JobRecord(argv=("train.py",), script="train.py", source="pass").write(repository)
        for step in range(3 * session, 3 * session + 3):
            blobs = {
                name: Blob(name=name, dtype="U8", shape=(len(data),), data=memoryview(data))
                for name, data in (("base", base), ("head", b"%d" % step))
            }
            snapshot = Snapshot(document={"step": step}, blobs=blobs, step=step, position="")
            info = repository.commit(snapshot, session=session, token=lease.token)
            assert step == 3 or info.new_bytes < 1000
        repository.prune(Retention(keep=2, hourly=0), token=lease.token)
        lease.refresh()
        lease.release()
    repository = Repository(store, "job")
    found = repository.newest(load=True)
    assert found.document == {"step": 8}
    assert bytes(found.blob("base").data) == base and bytes(found.blob("head").data) == b"8"
    assert [info.step for info in repository.list()] == [7, 8]
    assert check_job(repository).findings == []
    assert Repository(store, repository.set_aside()).newest().step == 8
    assert repository.newest() is None


def test_an_unknown_scheme_is_the_users_mistake():
    with pytest.raises(UsageError, match="nothing://"):
        open_store("nothing://here")


def test_a_file_url_is_a_folder_store():
    assert isinstance(open_store("file:///tmp/x"), FolderStore)


def test_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store = FolderStore(tmp_path / "store")
    store.put("job/a/x", [b"x"])
    (tmp_path / "store/job/file").symlink_to(outside / "secret")
    (tmp_path / "store/job/folder").symlink_to(outside)
    with pytest.raises(StoreError, match="link"):
        store.get("job/file")
    with pytest.raises(StoreError):
        store.get("job/folder/secret")
    with pytest.raises(StoreError):
        store.put("job/folder/new", [b"x"])
    with pytest.raises(StoreError):
        store.put_if_absent("job/folder/new", b"x")
    assert store.files("job") == []
    assert sorted(os.listdir(outside)) == ["secret"]
    store.put("job/file", [b"mine"])
    assert (outside / "secret").read_bytes() == b"secret"


def test_only_ordinary_files_are_read(tmp_path):
    store = FolderStore(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StoreError, match="ordinary"):
        store.get("fifo")
    assert store.files("") == []
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_folder_that_vanished_is_not_made_again(tmp_path):
    """Below an unmounted Drive there is an ordinary folder; what is written there would be lost."""
    store = FolderStore(tmp_path / "drive")
    store.put("job/x", [b"x"])
    os.rename(tmp_path / "drive", tmp_path / "gone")
    with pytest.raises(StoreError, match="gone"):
        store.put("job/y", [b"y"])
    assert not (tmp_path / "drive").exists()
    os.rename(tmp_path / "gone", tmp_path / "drive")
    store.put("job/y", [b"y"])


def test_an_error_says_what_to_do(tmp_path):
    (tmp_path / "job").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreError, match="job/x") as raised:
        FolderStore(tmp_path).put("job/x", [b"x"])
    assert "folder should be" in raised.value.advice
