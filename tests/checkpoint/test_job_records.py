"""Job and session records are never written twice, and the newest whole one counts."""

import os

import pytest
from jobfolder import files

from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError

RECORD = JobRecord(
    argv=("train.py", "--lr", "0.1", "\udcff"),
    script="/home/me/train.py",
    source="print('hi')\n",
    modules={"lib/model.py": "x = 1\n"},
    folder="/home/me",
    hash_seed=17,
    python="3.12.1",
    created=1763890000.5,
    extra={"rng": [1, 2]},
)


@pytest.fixture
def repository(tmp_path):
    return Repository.open(tmp_path, "job")


def test_a_job_without_a_record_has_none(repository):
    assert JobRecord.read(repository) is None


def test_a_record_comes_back(repository):
    RECORD.write(repository)
    assert JobRecord.read(repository) == RECORD


def test_the_newest_record_counts_and_the_old_file_stays(repository):
    import dataclasses

    RECORD.write(repository)
    (first,) = files(repository.store.root)
    before = first.read_bytes()
    changed = dataclasses.replace(RECORD, finished=True)
    changed.write(repository)
    assert JobRecord.read(repository) == changed
    assert first.read_bytes() == before


def test_a_torn_record_costs_the_last_change_only(repository):
    import dataclasses

    RECORD.write(repository)
    dataclasses.replace(RECORD, finished=True).write(repository)
    newest = files(repository.store.root)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    assert JobRecord.read(repository) == RECORD


def test_records_that_are_all_torn_are_not_taken_for_a_new_job(repository):
    RECORD.write(repository)
    for path in files(repository.store.root):
        path.write_bytes(b"")
    with pytest.raises(FormatError, match="no record"):
        JobRecord.read(repository)


def test_sessions_are_numbered_and_end_with_a_reason(repository):
    first = SessionRecord.begin(repository, pid=os.getpid(), fingerprint={"torch": "2.11"})
    second = SessionRecord.begin(repository, pid=os.getpid())
    assert (first.number, second.number) == (1, 2)
    done = first.end(repository, "SIGTERM", {"steps": 12})
    assert SessionRecord.read_all(repository) == [done, second]
    assert done.ended >= done.started
    # the first word counts
    first.end(repository, "again")
    assert SessionRecord.read_all(repository)[0].reason == "SIGTERM"


def test_a_torn_end_is_a_session_that_was_cut_off(repository):
    record = SessionRecord.begin(repository, pid=1)
    record.end(repository, "done")
    (repository.store.root / "job/sessions/000001.end.json").write_bytes(b"{")
    assert SessionRecord.read_all(repository) == [record]


def test_a_session_never_takes_the_number_of_an_end_that_arrived_without_its_beginning(repository):
    first = SessionRecord.begin(repository, pid=1)
    first.end(repository, "another machine's end")
    begun = f"{repository.job}/sessions/000001.json"
    repository.store.delete(begun)  # a Drive has lost it
    second = SessionRecord.begin(repository, pid=2)
    second.end(repository, "its own end", {"outcome": "finished"})
    assert second.number == 2
    assert SessionRecord.read_all(repository)[-1].reason == "its own end"
