"""No crash at any instruction loses an acknowledged checkpoint or makes the reader see a wrong one."""

import contextlib
import errno
import itertools
import os
import random
import signal

import pytest
from disk import Disk, Failing, Image, Killing, Recording, distinct_states
from jobfolder import assert_exact, content, snapshot

from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.errors import StoreError
from survivor.store import FolderStore

RECORD = JobRecord(argv=("train.py",), script="/train.py", source="pass")


def blobs(step):
    """A frozen base, a part that lives for a while, and one that always moves."""
    return {
        "frozen": content("frozen", 3000),
        "slow": content(f"slow {step // 3}", 1000),
        "moving": content(f"moving {step}", 700),
        "zeros": bytes(300),
    }


def scenario(store, acknowledge, commits=3):
    """Two sessions with all that they write; ``acknowledge`` is called with each step that was committed."""
    repository = Repository(store, "job")
    step = itertools.count(1)
    for session in (1, 2):
        lease = Lease.acquire(store, "job", session=session)
        if session == 1:
            RECORD.write(repository)
        record = SessionRecord.begin(repository, pid=os.getpid())
        for _ in range(commits):
            number = next(step)
            repository.commit(snapshot(number, blobs(number)), session=session, token=lease.token)
            acknowledge(number)
            repository.prune(Retention(keep=2, hourly=0), token=lease.token)
        lease.refresh()
        record.end(repository, "time limit")
        lease.release()
        repository = Repository(store, "job")


def judge(store, acknowledged):
    """Open what a crash left behind with the real reader, and go on from it."""
    repository = Repository(store, "job")
    found = repository.newest()
    if acknowledged:
        assert found is not None, f"step {acknowledged} was acknowledged and nothing is left"
        assert found.step >= acknowledged, f"step {acknowledged} was acknowledged, {found.step} is left"
        assert JobRecord.read(repository) == RECORD
    if found is not None:
        assert_exact(found)
    repository.list()
    SessionRecord.read_all(repository)
    lease = Lease.acquire(store, "job", session=9, take_over=True)
    step = (found.step if found else 0) + 1
    repository.commit(snapshot(step, blobs(step)), session=9, token=lease.token)
    after = Repository(store, "job").newest()
    assert_exact(after)
    assert after.step == step


def recorded(folder, do=None, commits=4):
    do = do or Recording()
    scenario(FolderStore(folder, do), lambda step: do.note("ack", step), commits=commits)
    return do.log


def test_the_image_of_an_undisturbed_run_is_what_is_on_the_disk(ram):
    log = recorded(ram)
    disk = Disk()
    for event in log:
        disk.apply(event)
    assert disk.pending == [] or all(path.endswith(".part") for path, _ in disk.pending)
    (state,) = {tuple(sorted(state.items())) for state in disk.after_kill(None)}
    assert dict(state) == {str(path): path.read_bytes() for path in ram.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("commits", "torn", "least"), [(3, 8, 400), pytest.param(6, 80, 5000, marks=pytest.mark.slow)])
def test_every_kill_and_power_cut_leaves_a_folder_that_is_read_right(ram, commits, torn, least):
    """Each prefix of the log, torn writes, unsynced bytes and names lost: thousands of distinct states."""
    count = 0
    for state, acknowledged, _ in distinct_states(recorded(ram, commits=commits), str(ram), torn):
        count += 1
        judge(Image(state), acknowledged)
    print(f"{count} distinct crash states")
    assert count > least


@pytest.fixture
def past_the_cache(monkeypatch):
    """Files of every size are written past the page cache, head last, where the disk takes that."""
    monkeypatch.setattr("survivor.store.direct.LEAST_BYTES", 1)
    monkeypatch.setattr("survivor.checkpoint.pack._BLOCKS_FROM_BYTES", 1)
    monkeypatch.setattr("survivor.checkpoint.writing._LATE_BYTES", 1)
    monkeypatch.setattr("survivor.store.mounts.kind_of", lambda *_: "ext4")


def test_every_kill_and_power_cut_is_survived_by_files_whose_head_is_written_last(tmp_path, past_the_cache):
    log = recorded(tmp_path, commits=2)
    count = 0
    for state, acknowledged, _ in distinct_states(log, str(tmp_path), 4):
        count += 1
        judge(Image(state), acknowledged)
    assert count > 300


@pytest.mark.parametrize("forgotten", ["sync", "syncdir"])
def test_the_enumeration_finds_a_forgotten_sync_of_such_files(tmp_path, past_the_cache, forgotten):
    log = recorded(tmp_path, Careless(forgotten), commits=2)
    with pytest.raises(AssertionError, match="was acknowledged"):
        for state, acknowledged, _ in distinct_states(log, str(tmp_path), 4):
            judge(Image(state), acknowledged)


class Careless(Recording):
    """What the log of a writer looks like that leaves out one step of the recipe."""

    def __init__(self, forgotten):
        super().__init__()
        self.forgotten = forgotten

    def note(self, *event):
        if event[0] != self.forgotten:
            super().note(*event)


@pytest.mark.parametrize("forgotten", ["sync", "syncdir"])
def test_the_enumeration_finds_a_writer_that_forgets_to_sync(ram, forgotten):
    with pytest.raises(AssertionError, match="was acknowledged"):
        for state, acknowledged, _ in distinct_states(recorded(ram, Careless(forgotten), commits=2), str(ram), 4):
            judge(Image(state), acknowledged)


def test_a_drive_that_lost_or_hides_any_files_is_never_read_wrong(ram):
    """Each file whole, cut, empty or absent: of those whose files are all whole, the newest is used."""
    scenario(FolderStore(ram), lambda step: None)
    whole = {str(path.relative_to(ram)): path.read_bytes() for path in ram.rglob("*") if path.is_file()}
    reader = Repository(Image(whole), "job")
    needs = {
        info.step: {
            f"job/checkpoints/{info.name}.json",
            *(f"job/packs/{ref.pack.stamp}.safetensors" for ref in reader.open_checkpoint(info.name).refs.values()),
        }
        for info in reader.list()
    }
    assert len(needs) >= 2
    chance = random.Random(0)
    for _ in range(3000):
        state = {}
        for path, data in whole.items():
            fate = chance.random()
            if fate < 0.75:
                state[path] = data
            elif fate < 0.85:
                state[path] = data[: chance.randrange(len(data))]
        best = max(
            (step for step, files in needs.items() if all(state.get(f) == whole[f] for f in files)),
            default=None,
        )
        found = Repository(Image(state), "job").newest()
        assert (found.step if found else None) == best
        if found:
            assert_exact(found)


@pytest.mark.parametrize("torn", [False, True])
def test_a_process_killed_at_any_operation_loses_nothing_that_was_acknowledged(ram, torn):
    """A real process, really killed, at each of its file operations in turn."""
    for number in range(1, 10_000):
        folder = ram / str(number)
        report, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                store = FolderStore(folder, Killing(number, torn=torn))
                scenario(store, lambda step: os.write(tell, bytes([step])), commits=2)
                code = 0
            finally:
                os._exit(code)
        os.close(tell)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        acknowledged = max(os.read(report, 100), default=0)
        os.close(report)
        assert status in (0, -signal.SIGKILL)
        judge(FolderStore(folder), acknowledged)
        if status == 0:
            break
    assert number > (10 if torn else 80)


FAULTS = [errno.ENOSPC, errno.ENOTCONN]
FAULTS += [
    pytest.param(error, marks=pytest.mark.slow)
    for error in (errno.EIO, errno.EDQUOT, errno.ESTALE, errno.EACCES, errno.EROFS)
]


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: errno.errorcode.get(error))
def test_the_nth_failing_operation_costs_no_checkpoint(ram, error, forever):
    """N rises until a run is clean. Only StoreError is seen; afterwards the same objects work again."""
    for number in range(1, 1000):
        folder = ram / str(number)
        Repository.open(folder, "job").commit(snapshot(1, blobs(1)), session=1, token=1)
        do = Failing(number, error, forever=forever)
        store = FolderStore(folder, do)
        repository = Repository(store, "job")
        acknowledged = 1
        for step in (2, 3):
            with contextlib.suppress(StoreError):
                repository.commit(snapshot(step, blobs(step)), session=1, token=1)
                acknowledged = step
            with contextlib.suppress(StoreError):
                repository.prune(Retention(keep=1, hourly=0), token=1)
        clean = do.count < number
        do.armed = False
        after = Repository.open(folder, "job").newest()
        assert_exact(after)
        assert after.step >= acknowledged
        repository.commit(snapshot(4, blobs(4)), session=1, token=1)
        repository.prune(Retention(keep=1, hourly=0), token=1)
        after = Repository.open(folder, "job").newest()
        assert_exact(after)
        assert after.step == 4
        if clean:
            assert acknowledged == 3
            break
    assert clean and number > 20


class Shaky:
    """A store of which the N-th call fails."""

    def __init__(self, store, number, error):
        self._store, self._number, self._error, self.count = store, number, error, 0

    def __getattr__(self, name):
        method = getattr(self._store, name)

        def call(*args, **kwargs):
            self.count += 1
            if self.count == self._number:
                raise self._error
            return method(*args, **kwargs)

        return call


def test_a_store_that_fails_while_it_is_read_does_not_look_like_an_empty_one(ram):
    """Otherwise training would begin anew over one bad read."""
    repository = Repository.open(ram, "job")
    repository.commit(snapshot(1), session=1, token=1)
    for number in range(1, 100):
        shaky = Shaky(FolderStore(ram), number, StoreError("Transport endpoint is not connected"))
        try:
            found = Repository(shaky, "job").newest()
        except StoreError:
            continue
        assert shaky.count < number
        shaky._number = 0
        assert_exact(found)
        break
    assert number > 3
