"""What each signal does to a session, and that no signal reaches the training."""

import os
import signal
from pathlib import Path

import pytest
from supervising import COUNT, is_gone, wait_for

STOPS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"]


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_signal_saves_and_ends_with_75_and_the_same_command_continues(work, name):
    script = work.write(COUNT)
    run = work.start(script, 60)
    run.read_until("3")
    run.send(getattr(signal, name))
    code, out, err = run.end()
    assert code == 75
    assert f"{name}: saved at step" in err
    assert "survivor run --events events.jsonl script.py 60" in err
    last = int(run.lines[-1])
    code, out, err = work.run(script, 60)
    assert code == 0
    assert out.split() == [*map(str, range(last + 1, 60)), "done"]
    assert f"continuing at step {last + 1}" in err


def test_a_signal_to_the_whole_group_of_the_child_does_not_reach_the_training(work):
    script = work.write(COUNT)
    run = work.start(script, 40)
    run.read_until("3")
    for name in STOPS:
        os.killpg(run.child_pid(), getattr(signal, name))
    code, out, _err = run.end()
    assert (code, out.split()) == (0, [*map(str, range(4, 40)), "done"])


AT_THE_END = """\
import os, signal
class Last:
    kill, process, numbers = staticmethod(os.kill), os.getpid(), {numbers}
    def __del__(self):
        for number in self.numbers:
            self.kill(self.process, number)
last = Last()
for i in steps(3):
    print(i, flush=True)
"""


def test_a_signal_while_python_takes_itself_apart_does_not_undo_the_end(work):
    numbers = [int(getattr(signal, name)) for name in STOPS]
    script = work.write(AT_THE_END.replace("{numbers}", str(numbers)))
    code, out, err = work.run(script)
    assert (code, out.split()) == (0, ["0", "1", "2"]), err
    assert [event["event"] for event in work.running[-1].events()].count("started") == 1


def test_a_signal_to_every_process_at_once_saves_once(work):
    script = work.write(COUNT)
    run = work.start(script, 500)
    run.read_until("3")
    os.killpg(run.child_pid(), signal.SIGTERM)
    os.killpg(run.process.pid, signal.SIGTERM)
    code, _out, err = run.end()
    assert code == 75
    assert err.count("saved at step") == 1


def test_a_signal_while_the_child_starts_up_saves_at_the_first_safe_point(work):
    script = work.write(COUNT)
    run = work.start(script, 500)
    # the supervisor has made its child, which is still importing
    wait_for(lambda: children_of(run.process.pid))
    run.send(signal.SIGTERM)
    assert run.end()[0] == 75


def test_a_signal_before_the_child_has_its_shield_does_not_kill_it(work):
    script = work.write(COUNT)
    run = work.start(script, 5)
    child = wait_for(lambda: children_of(run.process.pid))[0]
    os.kill(child, signal.SIGTERM)
    assert run.end()[0] == 0


def test_sigint_twice_ends_at_once(work):
    script = work.write("import time\nfor i in steps(9):\n    print(i, flush=True)\n    time.sleep(60)\n")
    run = work.start(script)
    run.read_until("0")
    pid = run.child_pid()
    run.send(signal.SIGINT)
    wait_for(lambda: any(e["event"] == "noticed" for e in run.events()))
    run.send(signal.SIGINT)
    code, _out, err = run.end()
    assert code == 75
    assert "stopped before there was anything to save" in err
    assert is_gone(pid)


def test_the_grace_period_ends_a_child_that_reaches_no_safe_point(work):
    script = work.write("import time\nfor i in steps(9):\n    print(i, flush=True)\n    time.sleep(60 * (i == 3))\n")
    run = work.start("--every", 0, "--grace", "0.3s", script)
    run.read_until("3")
    run.send(signal.SIGTERM)
    code, _out, err = run.end()
    assert code == 75
    assert "stopped before it could save again; the newest checkpoint is step 3" in err


def test_a_program_that_catches_everything_cannot_swallow_the_stop(work):
    script = work.write(
        "import time\n"
        "while True:\n"
        "    try:\n"
        "        for i in steps(1000):\n"
        "            print(i, flush=True)\n"
        "            time.sleep(0.02)\n"
        "    except BaseException:\n"
        "        print('caught', flush=True)\n"
        "    finally:\n"
        "        print('finally', flush=True)\n"
    )
    run = work.start(script)
    run.read_until("3")
    run.send(signal.SIGTERM)
    code, out, _err = run.end()
    assert code == 75
    assert "caught" not in out and "finally" not in out


def test_a_supervisor_that_is_killed_leaves_a_checkpoint_and_no_orphan(work):
    script = work.write(COUNT)
    run = work.start(script, 1000)
    run.read_until("5")
    pid = run.child_pid()
    run.send(signal.SIGKILL)
    run.process.wait()
    wait_for(lambda: is_gone(pid))
    printed = [5, *map(int, run.process.stdout.read().split())]
    code, _, _ = work.run(script, printed[-1] + 3)  # other arguments: refused
    assert code == 3
    code, out, _err = work.run("--accept-changes", script, printed[-1] + 3)
    assert code == 0
    assert out.split() == [str(printed[-1] + 1), str(printed[-1] + 2), "done"]


def test_an_orphan_that_reaches_no_safe_point_ends_after_the_grace_period(work):
    script = work.write("import time\nfor i in steps(9):\n    print(i, flush=True)\n    time.sleep(60)\n")
    run = work.start("--grace", "0.2", script)
    run.read_until("0")
    pid = run.child_pid()
    run.send(signal.SIGKILL)
    wait_for(lambda: is_gone(pid))


def test_ctrl_z_stops_the_training_and_fg_continues_it(work):
    script = work.write(COUNT)
    run = work.start(script, 100)
    run.read_until("3")
    pid = run.child_pid()
    run.send(signal.SIGTSTP)
    wait_for(lambda: state_of(pid) == "T" and state_of(run.process.pid) == "T")
    run.send(signal.SIGCONT)
    code, out, _err = run.end()
    assert code == 0
    assert out.split()[-1] == "done"


def test_sighup_is_ignored_under_nohup(work):
    script = work.write(COUNT)
    run = work.start(script, 60, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    run.read_until("3")
    run.send(signal.SIGHUP)
    assert run.end()[0] == 0


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def children_of(pid):
    """The training process, once it has been started: neither the writer nor who asks whether the store is there."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split() if "training/__main__.py" in command_of(word)]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_signal_that_came_before_the_child_was_started_ends_the_session_with_75(tmp_path):
    """The handlers stand before the job folder is opened; what they recorded is asked before each start."""
    from survivor.supervisor import run
    from survivor.supervisor.options import RunOptions
    from survivor.supervisor.signals import SignalInbox

    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('never run')\n")
    options = RunOptions(kind="script", target=str(script), store=str(tmp_path), job="j", command="again")
    with SignalInbox() as inbox:
        os.kill(os.getpid(), signal.SIGTERM)
        assert run._run_job(options, inbox, ()) == 75


def test_waiting_for_another_session_ends_when_it_ends(work):
    script = work.write(COUNT)
    first = work.start(script, 500)
    first.read_until("2")
    second = work.start("--wait", script, 500)
    assert "waiting for session 1" in second.process.stderr.readline()
    first.send(signal.SIGTERM)
    assert first.end()[0] == 75
    second.read_until(str(int(first.lines[-1]) + 1))
    second.send(signal.SIGTERM)
    assert second.end()[0] == 75


def test_waiting_for_another_session_can_be_ended(work):
    script = work.write(COUNT)
    first = work.start(script, 500)
    first.read_until("2")
    second = work.start("--wait", script, 500)
    assert "waiting for session 1" in second.process.stderr.readline()
    second.send(signal.SIGTERM)
    assert second.end()[0] == 3


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_before_anything_was_begun_is_an_ordinary_death_and_touches_nothing(work, name):
    script = work.write(COUNT)
    run = work.start(script, 5)
    os.kill(run.process.pid, getattr(signal, name))  # Python itself is still starting
    code, _out, _err = run.end()
    assert code in (-getattr(signal, name), 1, 0, 75)  # 1: Python's own answer to SIGINT while it starts
    assert code in (0, 75) or not (work.folder / "survivor-jobs").exists()


def test_what_a_signal_does_at_any_moment_of_a_session_is_one_of_three_things(work):
    """The session saves (75), was finished (0), or had not begun; and it goes on from there."""
    import random
    import subprocess

    chance = random.Random(5)
    script = work.write(COUNT)
    for number in range(12):
        run = work.start("--job", f"j{number}", script, 20)
        try:
            run.process.wait(chance.uniform(0, 1.5))
        except subprocess.TimeoutExpired:
            run.send(chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
        code, _out, err = run.end()
        begun = (work.folder / "survivor-jobs" / f"j{number}").exists()
        assert code in (0, 75) or (not begun and code < 0) or (code == 1 and "KeyboardInterrupt" in err), (code, err)
        assert code != 75 or "survivor run" in err
        code, out, err = work.run("--job", f"j{number}", script, 20)
        assert code == 0 and (out.split()[-1:] == ["done"] or "is finished" in err), err


def test_a_signal_after_the_end_does_not_turn_a_finished_job_into_a_failed_one(work):
    run = work.start(work.write(COUNT), 3)
    while "finished" not in run.process.stderr.readline():
        pass
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(120) == 0
