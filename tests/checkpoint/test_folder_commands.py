"""``survivor inspect``, ``check`` and ``prune`` say what is so, and end with the right code."""

import json

import pytest
from click.testing import CliRunner
from jobfolder import files, snapshot

from survivor.checkpoint.job import SessionRecord
from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.cli.check import command as check
from survivor.cli.inspect import command as inspect
from survivor.cli.prune import command as prune
from survivor.errors import JobRunningError, UsageError


@pytest.fixture
def repository(ram):
    repository = Repository.open(ram, "digits")
    lease = Lease.acquire(repository.store, "digits", session=1)
    record = SessionRecord.begin(repository, pid=1)
    for step in range(1, 6):
        info = snapshot(step, position=f"epoch 0, batch {step}", metrics={"val_loss": 1 / step})
        repository.commit(info, session=1, token=lease.token)
    record.end(repository, "SIGTERM")
    lease.release()
    return repository


def run(command, repository, *arguments):
    result = CliRunner().invoke(command, ["--store", str(repository.store.root), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_inspect_lists_steps_positions_sizes_and_metrics(repository):
    code, text = run(inspect, repository, "digits")
    assert code == 0
    assert "5 checkpoints, 1 sessions" in text and "running: no" in text
    assert "epoch 0, batch 5, val_loss=0.2" in text


def test_inspect_names_who_runs_the_job(repository):
    Lease.acquire(repository.store, "digits", session=2)
    assert "running: session 2 of" in run(inspect, repository, "digits")[1]


def test_inspect_shows_what_is_damaged(repository):
    manifest = files(repository.store.root / "digits/checkpoints")[-1]
    manifest.write_bytes(b"")
    code, text = run(inspect, repository, "digits")
    assert code == 0
    assert "DAMAGED" in text and manifest.stem in text


def test_inspect_prints_json(repository):
    data = json.loads(run(inspect, repository, "--json", "digits")[1])
    assert [info["step"] for info in data["checkpoints"]] == [1, 2, 3, 4, 5]
    assert data["sessions"][0]["reason"] == "SIGTERM"
    assert data["holder"] is None


def test_an_unknown_job_is_answered_with_those_there_are(repository):
    with pytest.raises(UsageError, match="no job 'digit'") as raised:
        run(inspect, repository, "digit")
    assert "digits" in raised.value.advice


def test_check_of_a_good_job_ends_with_0(repository):
    code, text = run(check, repository, "digits")
    assert code == 0
    assert "5 of 5 checkpoints are good" in text


def test_check_of_a_damaged_job_names_the_file_and_ends_with_4(repository):
    pack = files(repository.store.root / "digits/packs")[-1]
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    code, text = run(check, repository, "digits")
    assert code == 4
    assert f"DAMAGED digits/packs/{pack.name}" in text
    assert "4 of 5 checkpoints are good" in text and "go on from step 4" in text


def test_prune_removes_and_says_how_much(repository):
    code, text = run(prune, repository, "--keep", "2", "--keep-hourly", "0", "--keep-best", "max:val_loss", "digits")
    assert code == 0
    assert "removed 2 checkpoints" in text and "3 checkpoints stay" in text
    assert [info.step for info in repository.list()] == [1, 4, 5]
    assert run(check, repository, "digits")[0] == 0


def test_prune_of_a_running_job_is_refused(repository):
    Lease.acquire(repository.store, "digits", session=2)
    with pytest.raises(JobRunningError):
        run(prune, repository, "digits")
    assert len(repository.list()) == 5


def test_the_folder_commands_do_not_load_torch():
    import subprocess
    import sys

    code = (
        "import sys, survivor.cli.inspect, survivor.cli.check, survivor.cli.prune, survivor.checkpoint.checking, "
        "survivor.checkpoint.job, survivor.store; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
