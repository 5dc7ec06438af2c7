"""Each decision, without a process."""

import signal

import pytest

from survivor.channel import Failed, Finished, Refused, Stopped
from survivor.supervisor import policy
from survivor.supervisor.policy import ChildEnd, StopRequest, judge, on_signal

WORKER_DIED = Failed(
    error_type="RuntimeError",
    message="DataLoader worker (pid 7) is killed by signal: Killed. ",
    exit_code=1,
)
SCRIPT_FAILED = Failed(error_type="ValueError", message="no", exit_code=1)
REFUSED = Refused(error_type="NotResumableError", message="no", advice="", exit_code=5)


def end(**changes):
    values = {
        "status": 0,
        "last": None,
        "stop_reason": "",
        "progressed": False,
        "fruitless_ends": 0,
        "max_restarts": 3,
    }
    return ChildEnd(**{**values, **changes})


@pytest.mark.parametrize(
    ("what", "kind", "exit_code"),
    [
        (end(last=Finished()), "finished", 0),
        (end(last=Finished(), stop_reason="SIGTERM"), "finished", 0),
        (end(last=Finished(), status=120), "failed", 120),
        (end(last=Stopped(), status=75, stop_reason="SIGTERM"), "saved", 75),
        (end(last=SCRIPT_FAILED, status=1), "failed", 1),
        (end(last=SCRIPT_FAILED, status=1, stop_reason="SIGTERM"), "failed", 1),
        (end(last=SCRIPT_FAILED, status=-6), "failed", 134),
        (end(last=REFUSED, status=5), "refused", 5),
        (end(status=0), "finished", 0),
        (end(status=-9, stop_reason="SIGTERM"), "saved", 75),
        (end(status=-9), "restart", 0),
        (end(status=3), "restart", 0),
        (end(last=WORKER_DIED, status=1), "restart", 0),
        (end(last=WORKER_DIED, status=1, stop_reason="SIGTERM"), "saved", 75),
        (end(last=Finished(), status=-11), "restart", 0),
        (end(status=-9, max_restarts=0), "crash-loop", 7),
        (end(status=-9, max_restarts=0, progressed=True), "crash-loop", 7),
        (end(status=-9, fruitless_ends=3), "crash-loop", 7),
        (end(status=-9, fruitless_ends=3, progressed=True), "restart", 0),
    ],
)
def test_what_follows_from_an_end(what, kind, exit_code):
    verdict = judge(what)
    assert (verdict.kind, verdict.exit_code) == (kind, exit_code)


def test_the_wait_before_a_restart_doubles_without_progress_and_is_none_with_it():
    waits = [judge(end(status=-9, fruitless_ends=n, max_restarts=99)).delay_s for n in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert judge(end(status=-9, fruitless_ends=8, max_restarts=99, progressed=True)).delay_s == 0


def test_progress_forgives_earlier_ends():
    assert judge(end(status=-9, fruitless_ends=3, progressed=True)).fruitless_ends == 0
    assert judge(end(status=-9, fruitless_ends=1)).fruitless_ends == 2


def test_the_cause_names_the_signal():
    assert policy.describe_end(-11, None) == "was ended by SIGSEGV (a fault in native code)"
    assert policy.describe_end(-250, None) == "was ended by signal 250"
    assert policy.describe_end(3, None) == "ended with code 3 without a word"


def test_the_first_signal_gives_the_grace_period():
    request = on_signal(signal.SIGTERM, 10.0, 30.0, None)
    assert (request.reason, request.deadline_s, request.left_s(25.0)) == ("SIGTERM", 40.0, 15.0)
    assert request.left_s(50.0) == 0.0


def test_a_scheduler_s_repeated_sigterm_does_not_shorten_the_grace_period():
    first = on_signal(signal.SIGTERM, 10.0, 30.0, None)
    assert on_signal(signal.SIGTERM, 11.0, 30.0, first) is first
    assert on_signal(signal.SIGHUP, 11.0, 30.0, first) is first


def test_a_second_sigint_ends_at_once():
    first = on_signal(signal.SIGINT, 10.0, 30.0, None)
    second = on_signal(signal.SIGINT, 11.0, 30.0, first)
    assert second.left_s(11.0) == 0.0
    assert isinstance(second, StopRequest) and second.at_once
