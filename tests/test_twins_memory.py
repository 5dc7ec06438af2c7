"""A training process that is killed in a session goes on, in the same session, from a snapshot in memory: equal too."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from twin import PATIENCE_S, TRACE, Place, plain_run

SCRIPTS = ["trainer_class.py", "workers.py", "gan.py", "main_function.py"]
MORE = ["reinforce.py", "phases.py", "tbptt.py", "shared_objects.py", "ensemble.py", "iterator_kept.py", "noam_wrapper.py"]


def in_one_session(script, kills):
    """Kill the child each time that the trace has grown so far beyond where it was, and compare the end."""
    plain = plain_run(script)
    place = Place(script)
    trace, events = place.root / "trace", place.root / "events"
    command = [sys.executable, "-m", "survivor", "run", "--store", str(place.root / "store"), "--events", str(events)]
    # snapshots as often as may be, and hardly a checkpoint
    process = subprocess.Popen(
        [*command, "--every", "1h", "--overhead", "100%", "--max-restarts", "20", place.script],
        cwd=place.work,
        env=os.environ
        | {"PYTHONPATH": str(TRACE), "TWIN_TRACE": str(trace), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        | {"PYTHONDONTWRITEBYTECODE": "1", "TWIN_SEED": "1", "PYTHONHASHSEED": "1"},  # as the plain run has them
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        hits = sum(kill_when(process, trace, events, len(plain.events) * (n + 1) // (kills + 1)) for n in range(kills))
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        lines = [line for line in trace.read_text().splitlines() if line[0] in "SB"]
        assert hits == 0 or "starting again from" in err
        return plain, out, lines, place.written(), hits
    finally:
        process.kill()
        process.communicate()
        place.remove()


def kill_when(process, trace, events, reached):
    """SIGKILL to the child when the trace has so many events; whether it came to that."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        count = sum(line[:1] in ("S", "B") for line in (trace.read_text().splitlines() if trace.exists() else []))
        if count >= reached:
            lines = events.read_text().splitlines()
            pids = [event["pid"] for event in map(json.loads, lines) if event["event"] == "started"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[-1], signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


def check(script, kills=2):
    plain, out, lines, written, hits = in_one_session(script, kills)
    assert hits, "it was through before it could be killed"
    assert list(dict.fromkeys(out.splitlines())) == list(dict.fromkeys(plain.out.splitlines()))
    assert set(lines) == set(plain.events) and lines[-1] == plain.events[-1]
    assert written == plain.files


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_child_that_is_killed_goes_on_from_memory_and_equals_the_plain_script(script):
    check(script)


@pytest.mark.slow
@pytest.mark.parametrize("script", MORE)
def test_more_scripts_go_on_from_memory(script):
    check(script, kills=4)
