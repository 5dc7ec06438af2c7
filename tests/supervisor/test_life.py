"""A job's life: finished, failed, changed, refused, crashed, started over."""

import os
import signal

import pytest
from supervising import COUNT


def test_a_job_that_ran_through_prints_what_python_prints(work):
    script = work.write("print(__name__)\n")
    code, out, err = work.run(script)
    assert (code, out) == (0, "__main__\n")
    assert err.splitlines()[-1] == "survivor: script: finished"


def test_a_finished_job_says_so_and_does_nothing(work):
    script = work.write(COUNT)
    work.run(script, 3)
    code, out, err = work.run(script, 3)
    assert (code, out) == (0, "")
    assert "is finished, nothing to do" in err


def test_fresh_starts_over_and_keeps_the_old_folder(work):
    script = work.write(COUNT)
    work.run(script, 3)
    code, out, _err = work.run("--fresh", script, 4)
    assert (code, out.split()) == (0, ["0", "1", "2", "3", "done"])
    folders = sorted(os.listdir(work.folder / "survivor-jobs"))
    assert folders[0] == "script" and folders[1].startswith("script-2")


def test_the_same_name_with_other_arguments_is_refused_with_the_difference_and_the_ways_out(work):
    script = work.write(COUNT)
    stop_after(work, script, "2", 60, "--lr", "0.1")
    code, out, err = work.run(script, 60, "--lr", "0.2")
    assert (code, out) == (3, "")
    assert "- --lr 0.1" in err and "+ --lr 0.2" in err
    assert all(way in err for way in ("--job OTHER", "--fresh", "--accept-changes"))
    code, out, err = work.run("--job", "other", script, 4)
    assert code == 0


def test_other_arguments_are_no_matter_while_nothing_is_saved(work):
    script = work.write("import sys\nprint(sys.argv[1:])\n1 / int(sys.argv[1])\n")
    assert work.run(script, 0)[0] == 1
    code, out, _err = work.run(script, 1)
    assert (code, out) == (0, "['1']\n")


def test_accepted_arguments_are_the_job_s_from_then_on(work):
    script = work.write(COUNT)
    stop_after(work, script, "2", 60)
    run = work.start("--accept-changes", script, 61)
    run.read_until("5")
    run.send(signal.SIGTERM)
    run.end()
    code, _out, err = work.run(script, 61)
    assert code == 0
    assert "other arguments" not in err


def test_an_edited_script_is_shown_as_a_diff_and_goes_on(work):
    script = work.write(COUNT)
    stop_after(work, script, "2", 20)
    work.write(COUNT.replace('"done"', '"well done"'))
    code, out, err = work.run(script, 20)
    assert code == 0
    assert out.splitlines()[-1] == "well done"
    assert '-print("done")' in err and '+print("well done")' in err


def test_a_script_that_fails_shows_python_s_own_traceback_and_ends_with_1(work):
    script = work.write(
        "def inner():\n"
        "    for i in steps(9):\n"
        "        try:\n"
        "            1 / 0\n"
        "        except ZeroDivisionError as error:\n"
        "            raise ValueError('no') from error\n"
        "def outer():\n"
        "    inner()\n"
        "try:\n"
        "    steps\n"
        "except NameError:\n"
        "    steps = range\n"
        "outer()\n"
    )
    plain = work.python(script)
    code, _out, err = work.run(script)
    assert code == plain.returncode == 1
    assert plain.stderr in err
    assert "the script ended with code 1" in err


def test_a_gpu_without_memory_is_the_script_s_failure_with_advice(work):
    script = work.write("raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 GiB.')\n")
    code, _out, err = work.run(script)
    assert code == 1
    assert "the GPU ran out of memory" in err and "expandable_segments" in err


def test_a_failing_script_keeps_its_last_checkpoint(work):
    script = work.write("for i in steps(9):\n    print(i)\n    assert i < 5\n")
    code, out, err = work.run("--every", 0, script)
    assert code == 1
    assert "its newest checkpoint is step 5" in err
    work.write("for i in steps(9):\n    print(i)\n")
    code, out, err = work.run(script)
    assert (code, out.split()) == (0, ["5", "6", "7", "8"])


@pytest.mark.parametrize("line", ["sys.exit(3)", "sys.exit('words')", "sys.exit(300)", "raise SystemExit(-1)"])
def test_sys_exit_ends_with_the_code_that_python_gives(work, line):
    script = work.write(f"import sys, atexit\natexit.register(print, 'bye')\n{line}\n")
    plain = work.python(script)
    code, out, err = work.run(script)
    assert (code, out) == (plain.returncode, plain.stdout)
    assert plain.stderr in err


@pytest.mark.parametrize("line", ["sys.exit()", "sys.exit(0)", "pass"])
def test_an_end_with_code_0_finishes_the_job(work, line):
    script = work.write(f"import sys, atexit\natexit.register(print, 'bye')\n{line}\n")
    code, out, _err = work.run(script)
    assert (code, out) == (0, "bye\n")
    assert "is finished" in work.run(script)[2]


def test_a_syntax_error_is_shown_as_python_shows_it(work):
    script = work.write("x = 1\nfor :\n")
    plain = work.python(script)
    code, _out, err = work.run(script)
    assert code == plain.returncode == 1
    assert plain.stderr in err


def test_a_script_that_is_not_there_is_told_before_anything_is_made(work):
    code, _out, err = work.run("nothing.py")
    assert code == 2
    assert "nothing.py': no such file" in err
    assert not (work.folder / "survivor-jobs").exists()


def test_a_child_that_is_killed_is_started_again_from_its_newest_checkpoint(work):
    script = work.write(COUNT)
    run = work.start("--every", 0, script, 60)
    run.read_until("9")
    first = run.child_pid()
    os.kill(first, signal.SIGKILL)
    code, _out, err = run.end()
    assert code == 0
    assert run.child_pid() != first
    assert "was ended by SIGKILL" in err and "starting again from step" in err
    assert set(map(str, range(60))) <= set(run.lines)
    assert run.lines[-1] == "done"


def test_ends_without_progress_stop_the_job_with_a_code_of_their_own(work):
    script = work.write("import os\nprint('again', flush=True)\nos.abort()\n")
    code, out, err = work.run("--max-restarts", 1, script)
    assert code == 7
    assert out.split() == ["again", "again"]
    assert "was ended by SIGABRT, with no progress and no restart left" in err


def test_a_process_that_ends_by_os_exit_without_a_word_is_started_again(work):
    script = work.write(
        "import os\n"
        "for i in steps(9):\n"
        "    print(i, flush=True)\n"
        "    if i == 5 and not os.path.exists('seen'):\n"
        "        open('seen', 'w').close()\n"
        "        os._exit(9)\n"
    )
    code, out, _err = work.run("--every", 0, script)
    assert code == 0
    assert out.split() == ["0", "1", "2", "3", "4", "5", "5", "6", "7", "8"]


def test_a_refusal_is_told_with_its_advice_and_its_own_exit_code(work):
    script = work.write("refuse()\n")
    code, _out, err = work.run(script)
    assert code == 5
    assert "survivor: error: script: the thing on line 3" in err
    assert "survivor: do it not" in err


def test_a_second_session_of_a_running_job_is_told_who_runs_it(work):
    script = work.write(COUNT)
    run = work.start(script, 500)
    run.read_until("2")
    code, _out, err = work.run(script, 500)
    assert code == 3
    assert f"(pid {run.process.pid})" in err
    run.send(signal.SIGTERM)
    assert run.end()[0] == 75


def test_a_session_that_is_taken_over_writes_no_more(work):
    script = work.write(COUNT)
    run = work.start("--every", 0, script, 500)
    run.read_until("2")
    second = work.start("--take-over", script, 500)
    assert run.end()[0] == 3
    second.send(signal.SIGTERM)
    assert second.end()[0] == 75


def test_a_store_that_fails_does_not_stop_the_training(work):
    script = work.write(
        "import shutil\n"
        "for i in steps(5):\n"
        "    print(i, flush=True)\n"
        "    if i == 1:\n"
        "        shutil.rmtree('survivor-jobs/script/checkpoints')\n"
        "        open('survivor-jobs/script/checkpoints', 'w').close()\n"
    )
    code, out, err = work.run("--every", 0, script)
    assert (code, out.split()) == (0, ["0", "1", "2", "3", "4"])
    assert "could not save" in err


def test_the_time_limit_saves_and_ends(work):
    script = work.write(COUNT)
    code, _out, err = work.run("--time-limit", "1s", "--grace", "0.5s", script, 500)
    assert code == 75
    assert "time limit: saved at step" in err


def test_quiet_says_nothing(work):
    script = work.write(COUNT)
    code, _out, err = work.run("--quiet", script, 2)
    assert (code, err) == (0, "")


def test_what_was_printed_before_a_checkpoint_is_out_before_it(work):
    """Neither a pipe's buffer nor an open log file loses lines that the next session won't write again."""
    script = work.write(
        "import os, signal\n"
        "log = open('log.txt', 'a')\n"
        "for i in steps(9):\n"
        "    if i == 5 and not os.path.exists('seen'):\n"
        "        open('seen', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    print(i)\n"
        "    print(i, file=log)\n"
    )
    code, out, _err = work.run("--every", 0, script)
    assert code == 0
    assert out.split() == list("012345678")
    assert (work.folder / "log.txt").read_text().split() == list("012345678")


def stop_after(work, script, line, *args):
    run = work.start(script, *args)
    run.read_until(line)
    run.send(signal.SIGTERM)
    assert run.end()[0] == 75
