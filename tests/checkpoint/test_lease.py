"""One session at a time holds a job; who was taken over can't commit."""

import os
import signal
import time

import pytest
from jobfolder import assert_exact, content, files, snapshot

from survivor.checkpoint.lease import Lease, live_holder
from survivor.checkpoint.repository import Repository
from survivor.errors import JobRunningError, NewerFormatError
from survivor.store import FolderStore


@pytest.fixture
def store(ram):
    return FolderStore(ram)


def forked(work):
    """Run ``work`` in a process of its own and return its pid; it ends with what ``work`` returns."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return pid


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_tokens_rise(store):
    tokens = []
    for session in (1, 2, 3):
        lease = Lease.acquire(store, "job", session=session)
        tokens.append(lease.token)
        lease.release()
    assert tokens == [1, 2, 3]


def test_a_second_session_is_refused_and_told_who_runs_the_job(store):
    Lease.acquire(store, "job", session=4)
    with pytest.raises(JobRunningError, match=rf"session 4 of .*@.* \(pid {os.getpid()}\) since .* s ago") as raised:
        Lease.acquire(store, "job", session=5)
    assert "--wait" in raised.value.advice and "--take-over" in raised.value.advice


def test_a_released_lease_is_free(store):
    Lease.acquire(store, "job", session=1).release()
    assert live_holder(store, "job") is None
    assert Lease.acquire(store, "job", session=2).token == 2


def test_a_dead_process_frees_the_job_at_once(store):
    pid = forked(lambda: Lease.acquire(store, "job", session=1) and 0)
    assert ended(pid) == 0
    assert live_holder(store, "job") is None
    assert Lease.acquire(store, "job", session=2).token == 2


def test_a_zombie_is_dead(store):
    pid = forked(lambda: Lease.acquire(store, "job", session=1) and 0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert live_holder(store, "job") is None
    ended(pid)


def test_a_live_process_holds_on_however_long_it_was_silent(store):
    Lease.acquire(store, "job", session=1, ttl_s=0.0)
    assert live_holder(store, "job").session == 1


def test_another_hosts_holder_is_dead_after_its_time(store, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    lease = Lease.acquire(store, "job", session=1, ttl_s=300)
    monkeypatch.undo()
    assert live_holder(store, "job").host == "elsewhere"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 299)
    assert live_holder(store, "job") is not None
    lease.refresh()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert live_holder(store, "job") is not None
    monkeypatch.setattr(time, "time", lambda: now + 299 + 301)
    assert live_holder(store, "job") is None
    assert Lease.acquire(store, "job", session=2).token == 2


def test_a_holder_that_was_taken_over_notices(store):
    first = Lease.acquire(store, "job", session=1)
    first.refresh()
    second = Lease.acquire(store, "job", session=2, take_over=True)
    for act in (first.check, first.refresh):
        with pytest.raises(JobRunningError, match="taken over by session 2"):
            act()
    second.check()
    # giving back what one no longer has frees nothing
    first.release()
    assert live_holder(store, "job").session == 2


def test_two_who_got_one_token_on_a_careless_store_do_not_both_go_on(store):
    """A mounted Drive may let two sessions create one file; the file that stays decides."""
    first = Lease.acquire(store, "job", session=1)
    claim = store.root / "job/leases/00000001.json"
    claim.unlink()
    second = Lease.acquire(store, "job", session=2)
    assert first.token == second.token
    with pytest.raises(JobRunningError, match="at once"):
        first.check()
    second.check()


def test_a_torn_claim_spends_its_number_and_holds_nobody_up_for_long(store):
    Lease.acquire(store, "job", session=1).release()
    claim = store.root / "job/leases/00000002.json"
    claim.write_bytes(b'{"survi')
    with pytest.raises(JobRunningError):
        Lease.acquire(store, "job", session=3)
    os.utime(claim, (time.time() - 3600,) * 2)
    assert Lease.acquire(store, "job", session=3).token == 3


def test_a_torn_beat_does_not_kill(store):
    Lease.acquire(store, "job", session=1).refresh()
    (store.root / "job/leases/00000001.beat.json").write_bytes(b"")
    assert live_holder(store, "job").session == 1


def test_a_newer_survivors_claim_is_not_taken_for_a_torn_one(store):
    from survivor.checkpoint import envelope

    newer = envelope.seal("lease", "00000001", {}).replace(b'"version": 1', b'"version": 2')
    body = newer[: -envelope._SEAL_BYTES]
    import hashlib

    seal = b'{"sha256": "%s"}\n' % hashlib.sha256(body).hexdigest().encode()
    store.put("job/leases/00000001.json", [body, seal])
    with pytest.raises(NewerFormatError, match="format 2"):
        Lease.acquire(store, "job", session=1)


def test_of_two_who_ask_at_once_one_gets_the_job(store):
    """Both live, and each kills itself in the end, so that the next round finds a dead holder."""
    both = 0
    for _ in range(150):
        gate, go = os.pipe()
        report, tell = os.pipe()

        def contend(gate=gate, go=go, tell=tell):
            os.close(go)
            os.read(gate, 1)
            try:
                token = Lease.acquire(store, "job", session=1).token
                os.write(tell, b"%08d won.." % token)
            except JobRunningError:
                os.write(tell, b"........ lost.")
            # stay alive until both have asked
            signal.pause()

        racers = [forked(contend) for _ in range(2)]
        os.close(gate)
        os.close(go)
        answers = [os.read(report, 14) for _ in racers]
        for pid in racers:
            os.kill(pid, signal.SIGKILL)
            ended(pid)
        os.close(report)
        os.close(tell)
        both += sum(b"won" in answer for answer in answers) == 2
        assert sum(b"won" in answer for answer in answers) == 1, answers
    assert both == 0


def test_a_takeover_in_the_midst_of_commits_never_hides_or_mixes(store):
    """The old holder commits as fast as it can while the new one takes over; what counts is the new one's."""
    for turn in range(25):
        job = f"job-{turn}"
        report, tell = os.pipe()

        def keep_on(job=job, tell=tell):
            lease = Lease.acquire(store, job, session=1)
            repository = Repository(store, job)
            for step in range(1, 10_000):
                try:
                    blobs = {"a": content(f"old {step}", 500), "same": content("same", 500)}
                    repository.commit(snapshot(step, blobs), session=1, token=lease.token)
                    os.write(tell, b".")
                except JobRunningError:
                    return 7
            return 8

        old = forked(keep_on)
        for _ in range(1 + turn % 4):
            os.read(report, 1)
        lease = Lease.acquire(store, job, session=2, take_over=True)
        repository = Repository(store, job)
        found = repository.newest()
        assert_exact(found)
        blobs = {"a": content("new", 500), "same": content("same", 500)}
        repository.commit(snapshot(found.step + 1, blobs), session=2, token=lease.token)
        assert ended(old) == 7
        after = Repository(store, job).newest()
        assert_exact(after)
        assert (after.info.session, after.step) == (2, found.step + 1)
        os.close(report)
        os.close(tell)


def test_leases_are_few_small_files(store):
    lease = Lease.acquire(store, "job", session=1)
    for _ in range(20):
        lease.refresh()
    lease.release()
    assert [path.name for path in files(store.root)] == [
        "00000001.beat.json",
        "00000001.end.json",
        "00000001.json",
    ]
