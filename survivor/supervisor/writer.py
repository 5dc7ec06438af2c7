"""The writer: a process that makes snapshots durable, and the only one that writes checkpoints of a running job.

It is a process and not a thread because a store can hang: on a dead NFS or Drive mount it then sits in a system call
that no signal ends, while the supervisor keeps every deadline. It knows no policy: it is told when to write, and
always takes the newest snapshot that there is.

When the supervisor is gone, whatever ended it, the writer writes the newest snapshot, waits for the child to
end as children do then, and ends it if it does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import threading
import time

from survivor.arena import Reader
from survivor.channel import (
    Close,
    Closed,
    Decoder,
    Guard,
    Lost,
    Message,
    Persist,
    Persisted,
    PersistFailed,
    Write,
    encode,
)
from survivor.checkpoint import transcript
from survivor.checkpoint.committing import Committer
from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.lease import Holder, Lease
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.retention import Retention
from survivor.errors import JobRunningError, StoreError
from survivor.supervisor import orphans, spool
from survivor.supervisor.job import Heartbeat, OpenJob
from survivor.supervisor.signals import PAUSE_SIGNALS, STOP_SIGNALS

#: Training comes first as long as both want the processor.
_NICENESS = 5
#: An orphan has its grace period, and a moment more, before it is ended.
_ORPHAN_EXTRA_S = 5.0
#: Between attempts to record the end of a session.
_CLOSING_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)


def main(channel_fd: int) -> None:
    """Serve one supervisor until it closes the channel."""
    for number in (*STOP_SIGNALS, *PAUSE_SIGNALS):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    os.set_inheritable(channel_fd, False)
    channel = Channel(socket.socket(fileno=channel_fd))
    first = channel.receive()
    if not first:
        return
    assert isinstance(first[0], Write), first
    if not first[0].holder:
        spool.prepare(first[0].store)
    Writer(first[0], channel).run(first[1:])


class Channel:
    """The writer's end: messages, and the end of the supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._decoder = Decoder()
        self._lock = threading.Lock()

    def receive(self) -> list[Message]:
        """Wait for messages; none at the end of the supervisor."""
        messages: list[Message] = []
        while not messages:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return []
            if not data:
                return []
            messages = self._decoder.feed(data)
        return messages

    def send(self, message: Message) -> None:
        """Tell the supervisor, if it is there."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(encode(message))


class Writer:
    """Writes for one session."""

    def __init__(self, write: Write, channel: Channel) -> None:
        self._write = write
        self._channel = channel
        self._repository = Repository.open(write.store, write.job)
        self._commit = Committer(
            self._repository,
            session=write.session,
            token=write.token,
            origin=write.origin,
            retention=Retention(keep=write.keep, hourly=write.keep_hourly, best=write.keep_best),
        )
        self._reader = Reader(write.arena)
        self._lease = Lease(self._repository.store, write.job, Holder(**write.holder)) if write.holder else None
        self._repository.lease = self._lease
        self._mark = orphans.show(write.store, write.job)
        self._seq = 0
        self._lost = threading.Event()
        self._closed = self._alone = False
        self._guarded: tuple[int, int] | None = None

    def run(self, messages: list[Message]) -> None:
        """Do as told until the supervisor closes the channel."""
        with Heartbeat(self._lease, self._on_lost) if self._lease is not None else contextlib.nullcontext():
            while True:
                for message in messages:
                    self._on_message(message)
                messages = self._channel.receive()
                if not messages:
                    break
            if not self._closed:
                self._supervisor_is_gone()

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Persist):
            self._persist()
        elif isinstance(message, Guard):
            self._guard(message.pid)
        elif isinstance(message, Close):
            self._channel.send(self._close(message))

    # ------------------------------------------------------------------ writing

    def _persist(self) -> None:
        with self._reader.open_newest() as found:
            if found is None or found[0].seq <= self._seq or self._lost.is_set():
                self._channel.send(PersistFailed(seq=0, reason=""))
                return
            held, snapshot = found
            begin = time.monotonic()
            try:
                name = self._commit(transcript.joined_by(snapshot, self._write.output_fd)).name
            except JobRunningError as error:
                self._on_lost(str(error), error.advice)
                return
            except (StoreError, OSError) as error:
                self._channel.send(PersistFailed(seq=held.seq, reason=f"{type(error).__name__}: {error}"))
                return
            finally:
                del snapshot, found
        self._seq = held.seq
        self._channel.send(
            Persisted(
                seq=held.seq,
                checkpoint=name,
                step=held.step,
                position=held.position,
                size_bytes=held.size_bytes,
                seconds=time.monotonic() - begin,
                free_bytes=self._free_bytes(),
            )
        )
        if not self._alone:
            self._commit.tidy()

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._write.store).free
        except OSError:
            return -1  # no folder, or one that is gone for the moment

    def _on_lost(self, reason: str, advice: str = "") -> None:
        self._lost.set()
        self._channel.send(Lost(reason=reason, advice=advice))

    def _close(self, message: Close) -> Closed:
        self._closed = True
        if self._lease is None:
            return Closed()
        # a store that fails for a moment, as a mounted Drive does, must not hide that a job is finished
        for pause_s in _CLOSING_PAUSES_S:
            answer = self._try_to_close(message, self._lease)
            if not answer.problem:
                return answer
            time.sleep(pause_s)
        return self._try_to_close(message, self._lease)

    def _try_to_close(self, message: Close, held: Lease) -> Closed:
        """Record the end; what of it was recorded before stays as it is."""
        try:
            record = JobRecord.read(self._repository)
            sessions = SessionRecord.read_all(self._repository)
            mine = next((each for each in sessions if each.number == self._write.session), None)
            if record is None or mine is None:
                return Closed(problem="its records are gone")
            job = OpenJob(repository=self._repository, record=record, session=mine, lease=held)
            job.close(message.outcome, message.reason, message.exit_code, message.output)
        except StoreError as error:
            return Closed(problem=str(error))
        return Closed()

    # ------------------------------------------------------------------ without a supervisor

    def _guard(self, pid: int) -> None:
        if self._guarded is not None:
            os.close(self._guarded[1])
        try:
            self._guarded = (pid, os.pidfd_open(pid))
        except ProcessLookupError:
            self._guarded = None

    def _supervisor_is_gone(self) -> None:
        self._alone = True  # the child may be saving by itself: nothing is removed under its hands
        self._persist()
        if self._guarded is None:
            return
        pid, pidfd = self._guarded
        patience_s = self._write.grace_s + _ORPHAN_EXTRA_S
        if not select.select([pidfd], [], [], patience_s)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            select.select([pidfd], [], [], _ORPHAN_EXTRA_S)
        self._persist()
