"""Nothing that a snapshot holds is lost: whoever of child, supervisor and writer is killed, stopped or hangs."""

import contextlib
import os
import signal

import psutil
import pytest
from supervising import COUNT, is_gone, wait_for

#: Snapshots at every safe point, and no checkpoint but where one must be.
OFTEN = {"FAKE_SNAPSHOT_S": "0"}
SELDOM = ("--every", "1h")


@pytest.fixture
def spool(tmp_path):
    """A folder for temporary files of its own, where spools go."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return {**OFTEN, "TMPDIR": str(folder)}


def writer_of(run):
    def find():
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(run.process.pid).children():
                if any(word.endswith("writer_main.py") for word in process.cmdline()):
                    return process
        return None

    return wait_for(find)


def all_of(run):
    """Every process of a run, the supervisor last."""
    process = psutil.Process(run.process.pid)
    return [*process.children(recursive=True), process]


def numbers(lines):
    return [int(line) for line in lines if line.isdecimal()]


def position_in(err):
    """The step that a session says it continues from."""
    return int(err.split("continuing at step ")[1].split()[0])


def test_a_child_that_is_killed_goes_on_from_its_newest_snapshot(work):
    script = work.write(COUNT)
    run = work.start(*SELDOM, script, 60, env=OFTEN)
    run.read_until("9")
    os.kill(run.child_pid(), signal.SIGKILL)
    code, _out, err = run.end()
    assert code == 0
    printed = numbers(run.lines)
    again = len(printed) - len(set(printed))
    assert set(printed) == set(range(60)) and again <= 1, printed
    assert position_in(err) >= 9


@pytest.mark.parametrize("line", ["os._exit(3)", "os.abort()", "ctypes.string_at(0)", "1 / 0"])
def test_a_child_that_dies_has_its_newest_snapshot_written(work, line):
    script = work.write(
        "import ctypes, os\n"
        "for i in steps(30):\n"
        "    print(i, flush=True)\n"
        "    if i == 20 and not os.path.exists('seen'):\n"
        f"        {line}\n"
    )
    code, _out, err = work.run(*SELDOM, "--max-restarts", 0, script, env=OFTEN)
    assert code == (1 if line == "1 / 0" else 7), err
    (work.folder / "seen").touch()
    code, out, err = work.run(script)
    assert code == 0
    assert position_in(err) == 20 and numbers(out.split()) == list(range(20, 30))


def test_a_supervisor_and_a_child_that_are_killed_at_once_leave_the_newest_snapshot_to_the_writer(work):
    script = work.write(COUNT)
    run = work.start(*SELDOM, script, 1000, env=OFTEN)
    run.read_until("20")
    writer = writer_of(run)
    child = run.child_pid()
    for pid in (run.process.pid, child):
        os.kill(pid, signal.SIGKILL)
    writer.wait(20)
    printed = numbers([*run.lines, *run.process.stdout.read().split()])
    run = work.start("--accept-changes", script, 1000)
    run.read_until(str(printed[-1] + 3))
    run.send(signal.SIGTERM)
    _, _, err = run.end()
    assert position_in(err) >= printed[-1] and is_gone(child)


def test_a_supervisor_that_is_killed_leaves_no_process(work):
    script = work.write(COUNT)
    run = work.start(*SELDOM, script, 1000, env=OFTEN)
    run.read_until("5")
    writer_of(run)
    processes = all_of(run)
    run.send(signal.SIGKILL)
    _, alive = psutil.wait_procs(processes[:-1], timeout=120)
    assert not alive


def test_an_orphan_that_nothing_can_wake_is_ended_by_the_writer(work):
    """A child that is stopped, or deep in native code, does not hear that its supervisor is gone."""
    script = work.write(COUNT)
    run = work.start("--grace", "0.2s", script, 1000, env=OFTEN)
    run.read_until("5")
    writer_of(run)
    processes = all_of(run)
    os.kill(run.child_pid(), signal.SIGSTOP)
    run.send(signal.SIGKILL)
    _, alive = psutil.wait_procs(processes[:-1], timeout=120)
    assert not alive


def test_a_writer_that_is_killed_is_replaced(work):
    script = work.write(COUNT)
    run = work.start(*SELDOM, script, 1000, env=OFTEN)
    run.read_until("5")
    writer_of(run).kill()
    run.read_until("20")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert (code, "SIGTERM: saved at step" in err) == (75, True), err
    last = numbers(run.lines)[-1]
    code, out, _ = work.run(script, 1000, "x")  # refused: the job has something to lose
    assert code == 3
    code, out, _ = work.run("--accept-changes", script, last + 3)
    assert (code, numbers(out.split())) == (0, [last + 1, last + 2])


def test_a_store_that_hangs_keeps_nobody_from_ending_and_the_spool_comes_home(work, spool):
    """A writer that is stopped answers as little as one that sits in a dead mount."""
    script = work.write(COUNT)
    run = work.start(*SELDOM, "--grace", "8s", script, 1000, env=spool)
    run.read_until("5")
    wait_for(lambda: any(e["event"] == "checkpoint_saved" and e["step"] > 0 for e in run.events()))
    writer = writer_of(run)
    os.kill(writer.pid, signal.SIGSTOP)
    run.read_until("12")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert code == 75
    assert f"in {spool['TMPDIR']}/survivor-spool-" in err, err
    last = numbers(run.lines)[-1]
    wait_for(lambda: is_gone(writer.pid))
    code, out, err = work.run("--accept-changes", script, last + 3, env={"TMPDIR": spool["TMPDIR"]})
    assert (code, numbers(out.split())) == (0, [last + 1, last + 2]), err
    assert f"brought step {last + 1} from this machine's disk to the store" in err
    code, _, err = work.run("--fresh", script, 3, env={"TMPDIR": spool["TMPDIR"]})
    assert (code, "brought" in err) == (0, False)


def test_a_store_that_refuses_has_checkpoints_spooled_and_gets_them_when_it_is_back(work, spool):
    script = work.write(
        "import os, shutil, time\n"
        "for i in steps(10_000):\n"
        "    print(i, flush=True)\n"
        "    time.sleep(0.01)\n"
        "    if i == 3 and not os.path.exists('broken'):\n"
        "        os.rename('survivor-jobs/script/checkpoints', 'broken')\n"
        "        open('survivor-jobs/script/checkpoints', 'w').close()\n"
    )
    run = work.start("--every", "0", script, env=spool)
    run.read_until("10")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert (code, err.count("could not save")) == (75, 1), err
    last = numbers(run.lines)[-1]
    (work.folder / "survivor-jobs/script/checkpoints").unlink()
    (work.folder / "broken").rename(work.folder / "survivor-jobs/script/checkpoints")
    (work.folder / "broken").mkdir()
    run = work.start(script, env=spool)
    assert run.read_until(str(last + 1)) == [str(last + 1)]
    run.send(signal.SIGTERM)
    assert run.end()[0] == 75


def test_a_stop_while_no_safe_point_comes_has_the_newest_snapshot_written_within_the_grace_period(work):
    script = work.write("import time\nfor i in steps(9):\n    print(i, flush=True)\n    time.sleep(60 * (i == 6))\n")
    run = work.start(*SELDOM, "--grace", "2s", script, env=OFTEN)
    run.read_until("6")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert code == 75
    assert "stopped before it could save again; the newest checkpoint is step 6" in err, err


def test_a_stop_while_a_checkpoint_is_being_written_saves_what_came_after_it(work):
    script = work.write(COUNT)
    run = work.start(*SELDOM, script, 1000, env=OFTEN)
    run.read_until("5")
    writer = writer_of(run)
    wait_for(lambda: any(e["event"] == "checkpoint_saved" and e["step"] > 0 for e in run.events()))
    os.kill(writer.pid, signal.SIGSTOP)
    run.send(signal.SIGTERM)
    wait_for(lambda: is_gone(run.child_pid()))
    os.kill(writer.pid, signal.SIGCONT)
    code, _out, err = run.end()
    last = numbers(run.lines)[-1]
    assert code == 75 and f"SIGTERM: saved at step {last + 1}" in err, err


def test_a_session_that_ends_leaves_no_process_and_frees_the_job(work):
    script = work.write(COUNT)
    run = work.start(script, 30, env=OFTEN)
    run.read_until("5")
    writer_of(run)
    processes = all_of(run)[:-1]
    assert run.end()[0] == 0
    assert all(not process.is_running() for process in processes)
    leases = os.listdir(work.folder / "survivor-jobs/script/leases")
    assert "00000001.end.json" in leases


def test_without_memory_for_snapshots_the_child_writes_checkpoints_itself_and_says_so(work):
    script = work.write(COUNT)
    run = work.start("--every", "0", script, 1000, env={"FAKE_FREE_BYTES": "0"})
    run.read_until("5")
    os.kill(run.child_pid(), signal.SIGKILL)
    run.read_until("9")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert (code, "there is no memory to keep a copy of the state" in err) == (75, True), err
    assert "SIGTERM: saved at step" in err and position_in(err) >= 5
    assert not [event for event in run.events() if event["event"] == "snapshot_taken"]
    printed = numbers(run.lines)
    code, out, _err = work.run("--accept-changes", script, printed[-1] + 3, env={"FAKE_FREE_BYTES": "0"})
    assert (code, numbers(out.split())) == (0, [printed[-1] + 1, printed[-1] + 2])
