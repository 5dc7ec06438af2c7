"""A training process that is killed in a session goes on, in the same session, from a snapshot in memory: equal too."""

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from twin import ASKED, PATIENCE_S, Place, plain_run

from survivor.proof.trace import Trace

SCRIPTS = ["trainer_class.py", "workers.py", "gan.py", "main_function.py"]
MORE = ["reinforce.py", "phases.py", "tbptt.py", "shared_objects.py", "ensemble.py", "iterator_kept.py", "noam_wrapper.py"]
#: Snapshots as often as may be, and hardly a checkpoint.
OPTIONS = ("--every", "1h", "--overhead", "100%", "--max-restarts", "20")


def check(script, kills=2):
    """Kill the child each time that it has come so far beyond where it was, and compare what each of them did."""
    plain = plain_run(script)
    last = len(plain.reference.events)
    place = Place(script, options=OPTIONS)
    trace, events = place.job.place.root / "trace1", place.job.place.root / "events1"
    try:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(place.runner.session, place.job, None, ASKED)
            hits = sum(kill_when(running, trace, events, last * (n + 1) // (kills + 1)) for n in range(kills))
            session = running.result()
        assert session.code == 0, session.err
        assert hits, "it was through before it could be killed"
        assert "starting again from" in session.err
        for each in Trace.read_all(trace):
            assert not each.lost
            assert plain.reference.compare(each, each.begin) is None
        assert session.trace.end is not None
        assert list(dict.fromkeys(session.out.splitlines())) == list(dict.fromkeys(plain.out.splitlines()))
        assert plain.files.compare(place.job.place) is None
    finally:
        place.remove()


def kill_when(running, trace, events, reached):
    """SIGKILL to the child when it has come to an event; whether it came to that."""
    deadline = time.monotonic() + PATIENCE_S
    while not running.done() and time.monotonic() < deadline:
        if max((event.index for event in Trace.read(trace).events), default=0) >= reached:
            lines = events.read_text().splitlines()
            pids = [event["pid"] for event in map(json.loads, lines) if event["event"] == "started"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[-1], signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_child_that_is_killed_goes_on_from_memory_and_equals_the_plain_script(script):
    check(script)


@pytest.mark.slow
@pytest.mark.parametrize("script", MORE)
def test_more_scripts_go_on_from_memory(script):
    check(script, kills=4)
