"""Moving on is safe: whatever state the last session is in, the next one has a defined result."""

import hashlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "supervisor"))

from drive import a_drive
from supervising import Workplace

MACHINE = str(Path(__file__).parent / "machine")
SCRIPT = """\
import os, time
for i in steps(120):
    print("line", i, flush=True)
    time.sleep(float(os.environ.get("PACE", "0.01")))
    if str(i) == os.environ.get("STRIKE"):
        os.kill(os.getppid(), 9)
        os.kill(os.getpid(), 9)
print("end")
"""
TRIES = 20
WHOLE = "".join(f"line {i}\n" for i in range(120)) + "end\n"


@pytest.fixture
def work(tmp_path):
    workplace = Workplace(tmp_path)
    workplace.write(SCRIPT)
    yield workplace
    workplace.clean_up()


def on(name, ahead_s=0, **more):
    """The environment of a process on machine ``name``, whose clock is ``ahead_s`` seconds ahead."""
    return {"PYTHONPATH": MACHINE, "MACHINE": name, "MACHINE_CLOCK": str(ahead_s), **more}


def command(store, *words):
    return ("--store", store, "--every", "0", "--max-restarts", "0", *words, "script.py")


def log(work, store):
    return work.python("-m", "survivor", "log", "--store", store, "script").stdout


def commits(store, token):
    return sorted(path.name for path in Path(store).glob(f"script/checkpoints/{token:08d}-*"))


def test_while_the_last_session_runs_on_another_machine_it_is_named_and_nothing_is_touched(work):
    store = work.folder / "store"
    first = work.start(*command(store), env=on("a"))
    first.read_until("line 3")
    code, out, err = work.run(*command(store), env=on("b"))
    assert (code, out) == (3, "")
    assert re.search(r"is being run by session 1 of .*@a ", err) and "--take-over" in err
    assert first.end()[0] == 0
    assert log(work, store) == WHOLE


def test_a_session_that_is_taken_over_stops_and_the_job_ends_exact(work):
    store = work.folder / "store"
    first = work.start(*command(store), env=on("a", PACE="0.5"))
    first.read_until("line 3")
    code, _, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert code == 0, err
    assert first.end()[0] in (3, 75)
    assert log(work, store) == WHOLE


def test_a_session_that_comes_back_from_the_dead_writes_nothing_more(work):
    store = work.folder / "store"
    first = work.start(*command(store), env=on("a", PACE="0.5"))
    first.read_until("line 3")
    # the machine sleeps: supervisor, writer and trainer stand still
    import psutil

    tree = [psutil.Process(first.process.pid), *psutil.Process(first.process.pid).children(recursive=True)]
    for process in tree:
        process.suspend()
    held = commits(store, 1)
    code, _, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert code == 0, err
    for process in tree:
        process.resume()
    assert first.end()[0] in (3, 75)
    # one that was under way when it fell asleep may still appear; it never hides its successor's
    assert len(set(commits(store, 1)) - set(held)) <= 1
    assert log(work, store) == WHOLE


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_clock_that_is_an_hour_off_costs_no_work(work, ahead_s):
    store = work.folder / "store"
    work.run(*command(store), env=on("a", ahead_s, STRIKE="30"))
    # by its clock the dead session may look alive: the user is told, and takes over
    code, _, err = work.run(*command(store), env=on("b"))
    if code == 3:
        assert "--take-over" in err
        code, _, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert code == 0 and "continuing at step" in err
    assert log(work, store) == WHOLE


def test_a_live_session_that_looks_dead_by_a_wrong_clock_is_fenced_and_the_job_ends_exact(work):
    store = work.folder / "store"
    first = work.start(*command(store), env=on("a", PACE="0.5"))
    first.read_until("line 3")
    code, _, err = work.run(*command(store), env=on("b", 3600))
    assert code == 0, err
    assert first.end()[0] in (3, 75)
    assert log(work, store) == WHOLE


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_kills_over_a_drive_that_loses_what_came_last_ends_exact(work, seed):
    with a_drive(work.folder / "views", seed) as drive:
        for turn, strike in enumerate((20, 45, 70, 95, None)):
            name = "ab"[turn % 2]
            # a listing may lag: absence proves nothing
            drive.download(name, hidden=0.0 if turn < 2 else 0.05)
            env = on(name, 0, **({} if strike is None else {"STRIKE": str(strike)}))
            code, err = until_the_store_answers(work, drive.view(name), "--take-over", env=env)
            if code == 4:  # what arrived holds no whole checkpoint: it says so, and starts over only when told
                code, err = until_the_store_answers(work, drive.view(name), "--fresh", "--take-over", env=env)
            assert (code == 0) == (strike is None), err
            assert "could not be recorded" not in err
            drive.upload(name, lost=0.0 if strike is None else 0.15, torn=0.0 if strike is None else 0.15)
        assert quiet_log(work, drive.view("a")) == WHOLE


def until_the_store_answers(work, view, *words, env):
    """Run a session; again while the Drive fails as it begins, which is told and loses nothing."""
    for _ in range(TRIES):
        code, _, err = work.run(*command(view, *words), env=env)
        if code != 4 or " whole" in err:
            return code, err
        assert "Transport endpoint is not connected" in err, err
    raise AssertionError(f"the store never answered:\n{err}")


def quiet_log(work, view):
    """The job's log, once the Drive can be read."""
    for _ in range(TRIES):
        done = work.python("-m", "survivor", "log", "--store", view, "script")
        if done.returncode == 0 and "not connected" not in done.stderr:
            return done.stdout
    raise AssertionError(done.stderr)


def test_two_machines_that_both_went_on_leave_duplicate_names_and_the_higher_session_s_work(work):
    # nothing reaches the cloud, or comes from it, before it is told to
    with a_drive(work.folder / "views", upload_after=10**9, look_after=10**9, fails=0) as drive:
        work.run(*command(drive.view("a")), env=on("a", STRIKE="20"))
        drive.upload("a")
        drive.download("b")
        drive.download("c")
        # neither sees the other: both take the same token, and write under names of their own
        for name, strike in (("b", "60"), ("c", "40")):
            work.run(*command(drive.view(name), "--take-over"), env=on(name, STRIKE=strike))
        drive.upload("b")
        drive.upload("c")
        assert any(" (1)" in path for path in drive.cloud), "two files of one name"
        drive.download("a")
        code, _, err = work.run(*command(drive.view("a"), "--take-over"), env=on("a"))
        assert code == 0 and int(re.search(r"continuing at step (\d+)", err)[1]) >= 59, err
        assert log(work, drive.view("a")) == WHOLE


def test_a_folder_that_a_newer_survivor_wrote_is_left_alone(work):
    store = work.folder / "store"
    work.run(*command(store), env=on("a", STRIKE="20"))
    newest = max((store / "script" / "checkpoints").iterdir())
    head, rest = newest.read_bytes().split(b"\n", 1)
    body = rest[:-79]
    changed = json.dumps(json.loads(head) | {"version": 2}).encode() + b"\n" + body
    newest.write_bytes(changed + json.dumps({"sha256": hashlib.sha256(changed).hexdigest()}).encode() + b"\n")
    before = {path: path.read_bytes() for path in (store / "script" / "checkpoints").iterdir()}
    code, out, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert (code, out) == (4, "") and "Upgrade survivor" in err
    assert {path: path.read_bytes() for path in (store / "script" / "checkpoints").iterdir()} == before


def test_an_edited_script_is_shown_and_goes_on(work):
    store = work.folder / "store"
    work.run(*command(store), env=on("a", STRIKE="20"))
    work.write(SCRIPT.replace('print("end")', 'print("another end")'))
    code, out, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert code == 0 and '+print("another end")' in err
    assert out.endswith("line 119\nanother end\n")


def test_a_session_that_was_cut_off_mid_upload_leaves_the_checkpoint_before(work):
    store = work.folder / "store"
    work.run(*command(store), env=on("a", STRIKE="20"))
    newest = max((store / "script" / "packs").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    code, _, err = work.run(*command(store, "--take-over"), env=on("b"))
    assert code == 0 and "was passed over" in err
    assert log(work, store) == WHOLE


def test_a_stop_before_the_hand_over_loses_nothing(work):
    store = work.folder / "store"
    first = work.start(*command(store), env=on("a"))
    first.read_until("line 30")
    first.send(signal.SIGTERM)
    code, _, err = first.end()
    assert code == 75, err
    code, out, err = work.run(*command(store), env=on("b"))
    assert code == 0, err
    assert "".join(f"{line}\n" for line in first.lines) + out == WHOLE
    assert os.path.isdir(store / "script")
