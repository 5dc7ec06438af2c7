"""Colab and Kaggle are recognised, and what they keep and don't keep is said."""

import pytest

from survivor.errors import UsageError
from survivor.store import mounts
from survivor.supervisor.places import Place

COLAB = {"COLAB_RELEASE_TAG": "release-colab_20261101"}
KAGGLE = {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}


def place(tmp_path, environ, *, drive=""):
    table = tmp_path / "mounts"
    lines = ["overlay / overlay rw 0 0", "tmpfs /dev/shm tmpfs rw 0 0"]
    table.write_text("\n".join([*lines, f"drive {drive} fuse.drive rw 0 0"] if drive else lines) + "\n")
    return Place(environ=environ, root=tmp_path, mount_table=str(table))


def test_elsewhere_nothing_changes(tmp_path):
    here = place(tmp_path, {})
    assert (here.name, here.default_store(), here.check("jobs"), here.parting("jobs")) == ("", "survivor-jobs", [], [])


def test_colab_with_a_mounted_drive_keeps_jobs_there_and_says_what_that_means(tmp_path):
    here = place(tmp_path, COLAB, drive="/content/drive")
    store = here.default_store()
    assert store == "/content/drive/MyDrive/survivor-jobs"
    assert here.check(store) == [] and "uploads in the background" in here.note(store)[0]
    assert "drive.flush_and_unmount()" in here.parting(store)[0]
    (tmp_path / "var/colab").mkdir(parents=True)
    (tmp_path / "var/colab/hostname").touch()
    assert place(tmp_path, {}).name == "colab", "known by its file too"


def test_colab_without_a_drive_is_told_the_lines_to_type(tmp_path):
    here = place(tmp_path, COLAB)
    assert here.default_store() == "survivor-jobs"
    assert "drive.mount('/content/drive')" in here.check("survivor-jobs")[0]


def test_a_store_on_a_drive_that_is_not_mounted_is_refused_with_the_lines_to_type(tmp_path):
    with pytest.raises(UsageError) as raised:
        place(tmp_path, COLAB).check("/content/drive/MyDrive/jobs")
    assert "drive.mount('/content/drive')" in raised.value.advice and "'!' line" in raised.value.advice


def test_kaggle_keeps_jobs_in_its_working_folder(tmp_path):
    here = place(tmp_path, KAGGLE)
    assert here.default_store() == "/kaggle/working/survivor-jobs"
    assert here.check(here.default_store()) == []
    assert "keeps nothing else" in here.check("/tmp/jobs")[0]
    assert "Save Version" in here.parting(here.default_store())[0]


def test_what_the_user_says_wins(tmp_path):
    for environ in (COLAB, KAGGLE, {}):
        assert place(tmp_path, environ | {"SURVIVOR_STORE": "/mine"}).default_store() == "/mine"


def test_the_deepest_mount_holds_a_path(tmp_path):
    table = tmp_path / "mounts"
    table.write_text("a / ext4 rw 0 0\nb /a fuse.drive rw 0 0\nc /a/b\\040c tmpfs rw 0 0\n")
    kinds = {path: mounts.kind_of(path, str(table)) for path in ("/", "/ab", "/a/x", "/a/b c", "/a/b c/d")}
    assert kinds == {"/": "ext4", "/ab": "ext4", "/a/x": "fuse.drive", "/a/b c": "tmpfs", "/a/b c/d": "tmpfs"}
    assert mounts.kind_of("/x", str(tmp_path / "none")) == ""


def test_in_a_colab_without_drive_a_job_runs_and_says_that_it_will_not_last(work):
    code, _, err = work.run(work.write("for i in steps(2): pass\n"), env=COLAB)
    assert code == 0 and "gone when the runtime is" in err
    code, _, err = work.run("--store", "/content/drive/MyDrive/x", "script.py", env=COLAB)
    assert code == 2 and "drive.mount('/content/drive')" in err
