"""``survivor status``: what a store's jobs are doing, and what to type next."""

import json
import signal

LOOP = "import time\nfor i in steps(100000):\n    print(i, flush=True)\n    time.sleep(0.01)\n"


def status(work, *words):
    done = work.python("-m", "survivor", "status", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_store_without_jobs_says_so(work):
    assert "there are no jobs in" in status(work)
    (work.folder / "survivor-jobs" / "not a job").mkdir(parents=True)
    assert "there are no jobs in" in status(work)


def test_each_job_is_shown_with_its_state_and_the_next_command(work):
    work.run(work.write("for i in steps(3): pass\n", "done.py"))
    work.run(work.write("for i in steps(3): pass\nraise SystemExit(9)\n", "wrong.py"))
    run = work.start("--every", "0", "--job", "mine", work.write(LOOP, "loop.py"))
    run.read_until("3")
    text = status(work)
    assert "mine: running" in text and f"pid {run.process.pid}" in text
    run.send(signal.SIGTERM)
    run.end()
    jobs = {job["job"]: job for job in map(json.loads, status(work, "--json", "survivor-jobs").splitlines())}
    assert {name: job["state"] for name, job in jobs.items()} == {
        "done": "finished",
        "mine": "stopped",
        "wrong": "failed",
    }
    assert jobs["mine"]["step"] > 3 and jobs["mine"]["position"] == f"step {jobs['mine']['step']}"
    store = work.folder / "survivor-jobs"
    assert jobs["mine"]["next_command"] == f"survivor run --store {store} --job mine loop.py"
    assert jobs["done"]["next_command"] == f"survivor log --store {store} done"


def test_a_session_that_was_cut_off_is_told_from_one_that_ended(work):
    run = work.start("--every", "0", work.write(LOOP, "loop.py"))
    run.read_until("3")
    run.send(signal.SIGKILL)
    run.process.wait()
    assert "loop: cut off, 1 session" in status(work)


def test_a_damaged_checkpoint_is_named(work):
    run = work.start("--every", "0", work.write(LOOP, "loop.py"))
    run.read_until("3")
    run.send(signal.SIGTERM)
    run.end()
    newest = max((work.folder / "survivor-jobs/loop/checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-30])
    text = status(work)
    assert f"damaged: {newest.stem}" in text


def test_where_no_checkpoint_is_whole_the_next_thing_is_to_look_at_them(work):
    work.run(work.write("for i in steps(3): pass\nraise SystemExit(9)\n", "wrong.py"))
    for each in (work.folder / "survivor-jobs/wrong/checkpoints").iterdir():
        each.write_text("nothing of use")
    text = status(work)
    assert "checkpoints of training is whole" in text
    assert f"next: survivor check --store {work.folder}/survivor-jobs wrong" in text


def test_from_another_folder_the_next_command_leads_to_the_script(work):
    work.run("--every", "0", work.write("for i in steps(3): pass\nraise SystemExit(9)\n", "wrong.py"))
    other = work.folder / "other"
    other.mkdir()
    done = work.python("-c", f"import os; os.chdir({str(other)!r}); from survivor.cli import main; main()", "status", "../survivor-jobs")
    assert f"next: cd {work.folder} && survivor run --store {work.folder}/survivor-jobs wrong.py" in done.stdout
