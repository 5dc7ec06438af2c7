"""``survivor resume FOLDER``: nothing but the job folder is at hand."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "supervisor"))

from supervising import Workplace

SCRIPT = """\
import argparse, os, sys
import helper
from pack.inner import name
parser = argparse.ArgumentParser()
parser.add_argument("--data", default="data.txt")
parser.add_argument("--kill", type=int, default=-1)
args = parser.parse_args()
text = open(args.data).read().strip()
for i in steps(9):
    print(i, helper.word(), name(), text, flush=True)
    if i == 4 and not os.path.exists("struck"):
        open("struck", "w").close()
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def there(tmp_path):
    """The machine where the job was begun and killed."""
    work = Workplace(tmp_path / "there")
    work.folder.mkdir()
    work.write("def word():\n    return 'helped'\n", "helper.py")
    work.write("", "pack/__init__.py")
    work.write("from . import deeper\ndef name():\n    return deeper.NAME\n", "pack/inner.py")
    work.write("NAME = 'deep'\n", "pack/deeper.py")
    work.write("import not_installed\n", "unrelated.py")
    work.write("here\n", "data.txt")
    yield work
    work.clean_up()


@pytest.fixture
def here(tmp_path):
    """Another machine."""
    work = Workplace(tmp_path / "here")
    work.folder.mkdir()
    yield work
    work.clean_up()


def move(there, here, *left):
    """Only the job folder comes along, and what is in ``left``; the other machine is gone."""
    shutil.copytree(there.folder / "survivor-jobs/script", here.folder / "jobs/script")
    (here.folder / "struck").touch()
    for name in left:
        shutil.copy(there.folder / name, here.folder)
    shutil.rmtree(there.folder)


def begin(there, *args, script=SCRIPT, **popen):
    code, out, err = there.run("--every", "0", "--max-restarts", "0", there.write(script), *args, **popen)
    assert code == 7 and "4 helped deep here" in out, err


def resume(work, *words):
    return work.python("-m", "survivor", "resume", *words)


def test_the_job_goes_on_from_its_folder_alone(there, here):
    begin(there)
    move(there, here, "data.txt")
    done = resume(here, "--yes", "--cwd", ".", "jobs/script")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{i} helped deep here" for i in range(4, 9)]
    assert "helper.py" in done.stderr and "pack/deeper.py" in done.stderr and "unrelated" not in done.stderr
    log = here.python("-m", "survivor", "log", "--store", "jobs", "script").stdout
    assert log.splitlines() == [f"{i} helped deep here" for i in range(9)]


def test_sources_of_a_folder_are_not_run_unasked(there, here):
    begin(there)
    move(there, here, "data.txt")
    done = resume(here, "--cwd", ".", "jobs/script")
    assert done.returncode == 2 and "say --yes" in done.stderr
    assert done.stdout == ""


def test_where_the_sources_lie_unchanged_they_are_run_in_place(there):
    begin(there)
    done = resume(there, "survivor-jobs/script")
    assert done.returncode == 0, done.stderr
    assert "unchanged where they were recorded" in done.stderr


def test_data_that_is_missing_is_named_before_the_start(there, here):
    # with the real engine, which sees what is read
    training = (
        "import torch\nlayer = torch.nn.Linear(1, 1)\n"
        "def steps(n):\n    return range(n)\n"
        + SCRIPT.replace("    if i", "    layer(torch.ones(1)).backward()\n    if i").replace(
            "for i in", "open('own.txt', 'w').close()\nopen('own.txt').read()\nfor i in"
        )
    )
    begin(there, script=training, env={"PYTHONPATH": ""})
    move(there, here)
    done = resume(here, "--yes", "--cwd", ".", "jobs/script")
    assert done.returncode == 2
    assert f"data {here.folder / 'data.txt'} (it was {there.folder / 'data.txt'} there)" in done.stderr
    assert "--ignore-missing" in done.stderr and done.stdout == ""
    assert "own.txt" not in done.stderr, "what the script makes itself is not missing"


def test_a_path_that_differs_on_this_machine_is_set(there, here):
    begin(there, "--data", str(there.folder / "data.txt"))
    move(there, here, "data.txt")
    (here.folder / "data.txt").rename(here.folder / "moved.txt")
    done = resume(here, "--yes", "--cwd", ".", "--set", "data=moved.txt", "jobs/script")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "8 helped deep here"
    wrong = resume(here, "--yes", "--set", "dat=moved.txt", "jobs/script")
    assert wrong.returncode == 2 and "--data" in wrong.stderr


def test_a_missing_package_is_named_before_the_start(there, here):
    there.write("NAME = 'there only'\n", "site/only_there.py")
    script = "import sys\nsys.path.append('site')\nimport only_there\ntry:\n    import never\nexcept ImportError: pass\n"
    begin(there, script=script + SCRIPT)
    move(there, here, "data.txt")
    done = resume(here, "--yes", "--cwd", ".", "jobs/script")
    assert done.returncode == 2
    assert "package only_there: pip install only_there" in done.stderr and "never" not in done.stderr


def test_a_module_job_is_resumed_as_a_module(there, here):
    there.write(SCRIPT, "pack/train.py")
    code, _, err = there.run("--every", "0", "--max-restarts", "0", "--job", "script", "-m", "pack.train")
    assert code == 7, err
    move(there, here, "data.txt")
    done = resume(here, "--yes", "--cwd", ".", "jobs/script")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "8 helped deep here"


def test_a_folder_that_is_no_job_says_what_it_is(there, here):
    begin(there)
    for named in ("survivor-jobs", "script", "skript", "."):  # a store, a job's mere name, a misspelt one, its parent
        done = resume(there, named)
        assert done.returncode == 2
        assert f"survivor resume {there.folder}/survivor-jobs/script" in done.stderr, done.stderr


def test_an_edited_module_is_shown_when_the_job_goes_on(there):
    begin(there)
    there.write("def word():\n    return 'edited'\n", "helper.py")
    code, out, err = there.run("--every", "0", "script.py")
    assert code == 0, err
    assert "helper.py has changed since the last session" in err and "+    return 'edited'" in err
    assert "8 edited deep here" in out
