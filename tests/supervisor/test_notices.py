"""What notices and hangs do to a session."""

import os
import resource
import signal
import subprocess
import sys

import psutil
import pytest
from supervising import COUNT, is_gone, wait_for

from survivor.notices import Notice, View
from survivor.pulse import Heart, Pulse
from survivor.supervisor import hang
from survivor.supervisor.hang import HangWatch
from survivor.supervisor.watch import Watch


def test_a_stop_file_saves_and_ends_the_session_and_the_next_one_runs(work):
    script = work.write(COUNT)
    run = work.start("--stop-file", "halt", script, 1000)
    run.read_until("5")
    (work.folder / "halt").touch()
    code, _out, err = run.end()
    assert (code, "stop file halt: saved at step" in err) == (75, True), err
    last = int(run.lines[-1])
    code, out, err = work.run("--stop-file", "halt", "--accept-changes", script, last + 2)
    assert (code, out.split()) == (0, [str(last + 1), "done"])


def test_the_time_left_is_in_the_message_and_in_the_event(work):
    script = work.write(COUNT)
    run = work.start("--time-limit", "2s", "--grace", "1s", script, 1000)
    code, _out, err = run.end()
    assert code == 75
    assert "time limit, 1 s left: saving, then this session ends" in err, err
    (event,) = (e for e in run.events() if e["event"] == "noticed")
    assert event["reason"] == "time limit" and 0 < event["left_s"] <= 2


def test_the_end_of_a_slurm_job_s_time_is_known_by_itself(work):
    import time

    script = work.write(COUNT)
    end = str(int(time.time() + 3))
    code, _out, err = work.run("--grace", "1s", script, 1000, env={"SLURM_JOB_END_TIME": end})
    assert (code, "the end of the SLURM job's time" in err) == (75, True), err
    code, _out, err = work.run(
        "--time-limit", "none", "--accept-changes", script, 30, env={"SLURM_JOB_END_TIME": end}
    )
    assert code == 0, err


def test_a_limit_of_cpu_time_ends_the_session_before_the_kernel_does(work):
    script = work.write("for i in steps(10**9):\n    sum(range(10**5))\n")
    limit = resource.getrlimit(resource.RLIMIT_CPU)[1]
    run = work.start("--grace", "9s", script, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (6, limit)))
    code, _out, err = run.end()
    assert (code, "CPU time (SIGXCPU)" in err) == (75, True), err


HANGS = (
    "import os, sys, time\n"
    "for i in steps(20):\n"
    "    print(i, flush=True)\n"
    "    if i == 8 and not os.path.exists('seen'):\n"
    "        open('seen', 'w').close()\n"
    "        time.sleep(600)\n"
)


def test_a_child_that_hangs_shows_its_stacks_and_is_started_again_from_its_newest_snapshot(work):
    script = work.write(HANGS)
    code, out, err = work.run("--hang-after", "0.5s", "--every", "1h", script, env={"FAKE_SNAPSHOT_S": "0"})
    assert code == 0, err
    assert out.split() == [*map(str, range(9)), *map(str, range(8, 20))]
    assert "hung: no safe point" in err and 'script.py", line 6 in <module>' in err
    assert "continuing at step 8" in err


class Now:
    at = 0.0

    def __call__(self):
        return self.at


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()


def judged(pid, after_s, beats, *silences):
    """What a watch says after each silence that follows some beats a second apart."""
    pulse, now = Pulse(), Now()
    heart = Heart(pulse.fd)
    watch = HangWatch(pid, pulse, after_s, now)
    for _ in range(beats):
        now.at += 1.0
        heart.beat(now.at)
    watch.silence_s()
    found = []
    for silence in silences:
        until = now.at + silence
        while now.at < until:  # it is asked again and again
            now.at = min(until, now.at + watch.patience_s)
            hangs = watch.silence_s() > 0
        found.append(hangs)
    return found


def test_a_supervisor_that_was_stopped_itself_does_not_judge_by_that_time(sleeper):
    pulse, now = Pulse(), Now()
    heart = Heart(pulse.fd)
    watch = HangWatch(sleeper.pid, pulse, 20.0, now)
    for _ in range(9):
        heart.beat(now.at)
    watch.silence_s()
    now.at += 3600.0
    assert watch.silence_s() == 0.0


def test_a_hang_is_many_times_the_usual_gap_between_safe_points(sleeper):
    assert judged(sleeper.pid, None, 10, 250.0, 100.0) == [False, True]
    assert judged(sleeper.pid, 20.0, 10, 15.0, 10.0) == [False, True]


def test_a_process_that_starts_or_replays_or_compiles_is_not_judged(sleeper):
    assert judged(sleeper.pid, 20.0, 2, 10_000.0) == [False]


def test_a_process_that_computes_is_not_judged_unless_the_user_set_a_limit(sleeper, monkeypatch):
    used = iter(range(0, 10**7, 1000))
    monkeypatch.setattr(hang, "_cpu_s", lambda pid: float(next(used)))
    assert judged(sleeper.pid, None, 10, 350.0) == [False]
    assert judged(sleeper.pid, 20.0, 10, 350.0) == [True]


def test_a_process_that_was_stopped_does_not_hang(sleeper):
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED)
    assert judged(sleeper.pid, 20.0, 10, 10_000.0) == [False]


def test_a_source_that_fails_is_told_once_and_one_that_hangs_keeps_nobody():
    import threading

    class Broken:
        every_s = 0.0

        def look(self, view):
            raise ValueError("no")

    class Hanging:
        every_s = 0.0

        def look(self, view):
            threading.Event().wait()

    class Good:
        every_s = 0.0

        def look(self, view):
            return Notice(reason=f"margin {view.margin_s}")

    told = []
    with Watch([Broken(), Hanging(), Good()], lambda: View(margin_s=3), told.append) as watch:
        wait_for(lambda: told)
        notices = wait_for(watch.drain)
    assert told == ["notices: Broken failed: ValueError: no"]
    assert notices == [Notice(reason="margin 3")]


def test_ctrl_c_after_another_notice_ends_at_once(work):
    script = work.write("import time\nfor i in steps(9):\n    print(i, flush=True)\n    time.sleep(60)\n")
    run = work.start(script)
    run.read_until("0")
    pid = run.child_pid()
    run.send(signal.SIGTERM)
    wait_for(lambda: any(event["event"] == "noticed" for event in run.events()))
    run.send(signal.SIGINT)
    assert run.end()[0] == 75
    wait_for(lambda: is_gone(pid))
