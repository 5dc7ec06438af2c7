"""What a script writes is found as it was at the checkpoint, also on a machine that has nothing but the job folder."""

import shutil
from pathlib import Path

import pytest
from twin import Place, Twin, plain_run, twin

from survivor.training.carry import Carrier

SCRIPT = "writes_files.py"


def test_a_killed_run_leaves_the_plain_run_s_files_exactly():
    twin(SCRIPT, "S7", "S14 TERM", "S18")


@pytest.mark.parametrize("kill", ["S10", "S17 TERM"])
def test_on_another_machine_the_files_are_put_back_from_the_checkpoint(kill):
    plain = plain_run(SCRIPT)
    first = Place(SCRIPT)
    second = Place(SCRIPT, after=first)
    try:
        Twin(plain, first).session(plain.kill(kill))
        shutil.move(first.store, second.store)
        shutil.rmtree(first.work)
        elsewhere = Twin(plain, second)
        done = elsewhere.session(None)
        assert done.code == 0, done.err
        assert plain.out.endswith(done.out)
        elsewhere.ended()
    finally:
        first.remove()
        second.remove()


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    carrier = Carrier(
        tmp_path / "here",
        tmp_path / "here",
        warn=lambda text: carrier.warned.append(text),
        note=lambda text: carrier.noted.append(text),
    )
    carrier.warned, carrier.noted = [], []
    return carrier


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/etc/out.txt", ".bashrc", "a/.git/config", "helper.py", "lib/x.so", "a/../../b", "", "link/x.txt"],
)
def test_a_hostile_folder_s_paths_lead_nowhere(carrier, tmp_path, name):
    (tmp_path / "here" / "link").symlink_to(tmp_path)
    assert carrier.local("cwd", name) is None
    assert carrier.local("home", "x.txt") is None


def test_what_is_too_big_is_named_once_and_carried_when_asked_for(carrier, monkeypatch, tmp_path):
    monkeypatch.setattr("survivor.training.carry.SMALL_BYTES", 10)
    path = tmp_path / "here" / "big.bin"
    path.write_bytes(b"x" * 11)
    assert carrier.collect([str(path)]) == ([], {})
    assert "--carry 'big.bin'" in carrier.warned[0]
    monkeypatch.setattr("survivor.training.carry._patterns", ("*.bin",))
    entries, blobs = carrier.collect([str(path)])
    assert entries == [["cwd", "big.bin", 11]] and bytes(blobs["files/0"].data) == b"x" * 11


def test_a_file_that_the_job_had_not_left_is_kept_under_another_name(carrier, tmp_path):
    path = tmp_path / "here" / "best.txt"
    path.write_text("mine")
    entries, blobs = carrier.collect([str(path)])
    path.write_text("a stranger's")
    since = path.stat().st_mtime + 10
    carrier.put_back(entries, blobs, since)
    assert path.read_text() == "mine"
    assert (tmp_path / "here" / "best.txt.kept-by-survivor").read_text() == "a stranger's"
    assert not carrier.noted
    path.write_text("mine and more of lost work")
    carrier.put_back(entries, blobs, since)
    assert path.read_text() == "mine"
    kept = carrier.noted[0].rpartition(" ")[2]
    assert (Path(kept) / "0-best.txt").read_text() == "mine and more of lost work"
