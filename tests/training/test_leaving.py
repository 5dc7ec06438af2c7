"""A loop that an exception leaves is left as it was by a resumed run too: the same handlers, the same traceback."""

import subprocess
import sys

import pytest
from commanding import run

STEP = """
import os, signal, torch
w = torch.zeros(2, requires_grad=True)
opt = torch.optim.SGD([w], lr=0.1)
n = 0
def step(x, last=0):
    global n
    opt.zero_grad(); ((w - x) ** 2).sum().backward(); opt.step(); n += 1
    if n == last and os.path.exists("kill"):
        os.remove("kill"); os.kill(os.getpid(), signal.SIGKILL)
"""
UNCAUGHT = """
def fit():
    for i in range(9):
        step(i)
        if i == 3:
            {}["missing"][i] + 3
try:
    fit()
finally:
    print("cleaning up")
    for i in range(6):
        step(i, last=9)
    print(w.tolist())
"""
CAUGHT = """
class Data:
    def __iter__(self):
        for i in range(5):
            if i == 4:
                raise ValueError("bad item")
            yield i
try:
    for i in Data():
        step(i)
except ValueError:
    import traceback
    print(traceback.format_exc())
    for i in range(6):
        step(i, last=8)
print(w.tolist())
"""
UNFIT = """
def fit():
    class Enough(Exception):
        pass
    try:
        for i in range(9):
            step(i)
            if i == 3:
                raise Enough
    except Enough:
        for i in range(6):
            step(i, last=9)
fit()
print(w.tolist())
"""


#: There a bare ``raise`` takes its traceback from a place that no Python code can reach.
needs_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 shows lines of survivor's here")


def plain(folder):
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=300)


def survived(folder):
    (folder / "kill").touch()
    done = run(folder, "--every", "0")
    assert not (folder / "kill").exists(), done.stderr
    return done


@needs_311
def test_the_traceback_of_an_uncaught_exception_is_the_plain_one_after_a_resume_too(tmp_path):
    (tmp_path / "script.py").write_text(STEP + UNCAUGHT)
    alone, done = plain(tmp_path), survived(tmp_path)
    assert done.returncode == 1
    assert alone.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert alone.stderr in done.stderr, done.stderr


@needs_311
def test_no_line_of_survivor_stands_in_the_traceback_of_a_caught_exception(tmp_path):
    (tmp_path / "script.py").write_text(STEP + CAUGHT)
    alone, done = plain(tmp_path), survived(tmp_path)
    assert (done.returncode, done.stdout) == (0, alone.stdout), done.stderr


def test_an_exception_that_can_t_be_carried_is_named_and_the_run_is_exact_all_the_same(tmp_path):
    (tmp_path / "script.py").write_text(STEP + UNFIT)
    alone, done = plain(tmp_path), survived(tmp_path)
    assert (done.returncode, done.stdout) == (0, alone.stdout), done.stderr
    told = "was left by an exception that can't be carried, __main__.fit.<locals>.Enough: its class is made inside a function"
    assert told in done.stderr
