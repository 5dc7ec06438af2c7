"""Scripts that train without a backward pass or an optimizer: their loops are found, or the user is told."""

import subprocess
import sys

from commanding import run

from survivor.training import finding
from survivor.training.engine import Engine
from survivor.training.settings import Settings

KMEANS = """
import os, signal, threading, torch
torch.manual_seed(0)
X = torch.randn(60, 2)
C = X[torch.randperm(60)[:3]].clone()
def main():
    global C
    for turn in range(12):
        nearest = torch.cdist(X, C).argmin(1)
        for k in range(3):
            C[k] += 0.5 * (X[nearest == k].mean(0) - C[k]) + 0.01 * torch.randn(2)
        print(turn, C.sum().item())
        if turn == 8 and os.path.exists("kill"):
            os.remove("kill"); os.kill(os.getpid(), signal.SIGKILL)
main()
"""
TAKEN = "no backward pass and no optimizer step so far"


def plain(folder):
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=300)


def test_a_script_without_gradients_is_resumed_exactly_and_told_which_loop_was_taken(tmp_path):
    (tmp_path / "script.py").write_text(KMEANS)
    alone = plain(tmp_path)
    (tmp_path / "kill").touch()
    done = run(tmp_path, "--every", "0")
    assert done.returncode == 0, done.stderr
    assert TAKEN in done.stderr and "continuing at turn 8" in done.stderr
    # what came since the newest checkpoint is printed again
    assert set(done.stdout.splitlines()) == set(alone.stdout.splitlines())
    assert done.stdout.endswith(alone.stdout.splitlines()[-1] + "\n")


def test_what_a_loop_holds_that_is_only_taken_for_training_stops_no_job(tmp_path):
    held = KMEANS.replace("def main():", "import zlib; held = zlib.compressobj()\ndef main():").replace("turn, ", "turn, held is None, ")
    (tmp_path / "script.py").write_text(held)
    done = run(tmp_path, "--every", "0")
    assert (done.returncode, done.stdout) == (0, plain(tmp_path).stdout), done.stderr
    assert "no checkpoint can be made" in done.stderr and "held (zlib.Compress" in done.stderr


def test_a_script_that_is_through_before_a_training_loop_was_found_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text("import time\nfor i in range(3):\n    time.sleep(0)\n")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "no training loop was found" in done.stderr and "survivor.loop(" in done.stderr


def test_a_function_that_is_run_in_a_process_of_its_own_is_said_not_to_be_watched(tmp_path):
    (tmp_path / "script.py").write_text(
        "import torch.multiprocessing as mp\n"
        "def work(rank):\n    print('trained', rank)\n"
        "if __name__ == '__main__':\n    mp.spawn(work, nprocs=1)\n"
    )
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (0, "trained 0\n"), done.stderr
    assert "work is run in a process of its own" in done.stderr


def test_who_has_seen_no_training_for_a_minute_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "_REMIND_AFTER_S", 0)
    warned = []
    link = type("Link", (), {"warn": staticmethod(warned.append), "note": print})()
    engine = Engine(link, Settings(), tmp_path)
    engine.finding._remind()
    assert "survivor.loop(" in warned.pop()
    engine.saves = 1
    engine.finding._remind()
    engine.saves, engine.replay = 0, object()  # a resumed session knows its loops
    engine.finding.begin()
    engine.finding._remind()
    engine.finding.ended()
    assert not warned


def test_loops_of_the_set_up_are_forgotten_when_training_begins(tmp_path):
    (tmp_path / "script.py").write_text(
        """
import torch
items = []
for i in range(5):
    items.append(torch.full((2,), float(i)).mean())
w = torch.zeros(2, requires_grad=True)
for i in range(5):
    loss = (w - items[i]).pow(2).sum()
    getattr(loss, "backward")()
    w.data -= w.grad
    w.grad = None
    from survivor.training.engine import Engine
    import gc
    (engine,) = [each for each in gc.get_objects() if type(each) is Engine]
    assert [str(past.site) for past in engine.hooks.root.ended] == [] and not engine.finding.believed
    assert [site.first_line for site in engine.sites if site.trains] == [7]
"""
    )
    done = run(tmp_path, "--every", "0")
    assert done.returncode == 0, done.stderr
    assert TAKEN in done.stderr  # of the first loop
