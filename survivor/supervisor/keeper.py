"""The keeper: sees to it that snapshots become checkpoints, whatever happens to the child, the writer or the store.

It owns the arena and the writers. There are two *lanes* to a disk: the job's store, and a spool on the local disk
for as long as the store hangs or refuses. A writer that hangs is given up, and another is started; the store is tried
again after a while.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from survivor import arena
from survivor.arena import Held
from survivor.channel import (
    Close,
    Closed,
    Durable,
    Guard,
    Lost,
    Message,
    Persist,
    Persisted,
    PersistFailed,
    Saved,
    Snapped,
    Write,
)
from survivor.supervisor import spool
from survivor.supervisor.peer import Peer

_ENTRY = Path(__file__).with_name("writer_main.py")
#: A commit that takes so long is taken for hung, unless this session has seen slower ones.
_HANGS_AFTER_S = 60.0
_HANGS_FACTOR = 10.0
#: A store that is slower than this can't be told from one that hangs.
_SLOWEST_BYTES_PER_S = 2e6
#: The store is tried again after so long; the time doubles up to the second.
_RETRY_S, _LONGEST_RETRY_S = 15.0, 600.0
#: Until the first commit was measured.
_GUESSED_BYTES_PER_S = 100e6
_FIXED_S = 0.2
_MOST_DEATHS = 3
_REAP_S = 1.0


@dataclass(kw_only=True)
class Lane:
    """One way to a disk.

    Attributes:
        write: first message to its writers.
        peer: the writer; None while there is none.
        busy_since: when its writer was told to write; None while it is idle.
        deaths: of its writers in a row, without a checkpoint in between.
        down_until: it is not tried before; 0 while it works.
        retry_s: the wait after its next fault.
        longest_s: the longest commit so far.
        size_bytes: of the state that is being written.
        bytes_per_s: of the last commit of some size.
    """

    write: Write
    peer: Peer | None = None
    busy_since: float | None = None
    deaths: int = 0
    down_until: float = 0.0
    retry_s: float = _RETRY_S
    longest_s: float = 0.0
    size_bytes: int = 0
    bytes_per_s: float = _GUESSED_BYTES_PER_S

    @property
    def hangs_after_s(self) -> float:
        """How long the commit that is under way may take."""
        return max(_HANGS_AFTER_S, _HANGS_FACTOR * self.longest_s, self.size_bytes / _SLOWEST_BYTES_PER_S)

    def start(self) -> Peer:
        """Its writer, started if there is none."""
        if self.peer is None:
            command = [sys.executable, *subprocess._args_from_interpreter_flags(), str(_ENTRY)]  # type: ignore[attr-defined]
            fds = [fd for fd in (*self.write.arena, self.write.output_fd) if fd >= 0]
            self.peer = Peer(command, fds=tuple(fds), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.peer.send(self.write)
        return self.peer


class Keeper:
    """Keeps what the child has computed.

    Args:
        write: first message to a writer; its ``arena`` is filled in here.
        every_s: seconds between checkpoints.
        clock: monotonic seconds.

    Attributes:
        fds: the arena, to be handed to the child.
        newest: the newest snapshot; None before the first.
        durable: the newest that is a checkpoint.
        spooled: whether that lies in the spool and not in the store.
        free_bytes: room in the store, as last seen; None where it can't tell.
        lost: another session has the job.
        on_saved, on_problem: called with each checkpoint, and with each fault of the store in words.
    """

    def __init__(self, write: Write, every_s: float, clock: Callable[[], float]) -> None:
        self.fds = arena.create()
        self._store = Lane(write=replace(write, arena=self.fds))
        self._spool = Lane(write=replace(write, arena=self.fds, store=spool.folder(write.store), holder={}))
        self._every_s, self._clock = every_s, clock
        self.newest: Held | None = None
        self.durable: Persisted | None = None
        self.spooled = False
        self.free_bytes: int | None = None
        self.lost: Lost | None = None
        self.on_saved: Callable[[Persisted], None] = lambda _: None
        self.on_problem: Callable[[str], None] = lambda _: None
        self.answer: Callable[[Message], None] = lambda _: None
        self._waiting_for = self._hurry_seq = self._hopeless_seq = 0
        self._last_began = float("-inf")
        self._guarded = 0
        self._closed: Closed | None = None
        self._left: list[Peer] = []

    @contextlib.contextmanager
    def closing_on_error(self) -> Iterator[None]:
        """Start the writer, while the child is starting; if the block fails, leave nothing behind."""
        try:
            self._store.start()
            yield
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Keeper:
        """At the end of the block nothing is left."""
        return self

    def __exit__(self, *_: Any) -> None:
        """End the writers and let the arena go."""
        for lane in (self._store, self._spool):
            self._give_up(lane)
        for peer in self._left:
            peer.reap_soon(_REAP_S)
        for fd in self.fds:
            os.close(fd)

    # ------------------------------------------------------------------ the child

    def guard(self, pid: int, answer: Callable[[Message], None]) -> None:
        """A child has been started; ``answer`` sends it messages."""
        self._guarded, self.answer, self._waiting_for = pid, answer, 0
        for lane in (self._store, self._spool):
            if lane.peer is not None:
                lane.peer.send(Guard(pid=pid))

    def look(self) -> bool:
        """Look into the arena itself for the newest snapshot; whether there is one that was not known."""
        before = self.newest.seq if self.newest else 0
        self.newest = arena.newest(self.fds) or self.newest
        return self.newest is not None and self.newest.seq > before

    def wait_for(self, seq: int) -> None:
        """The child waits until this snapshot is durable."""
        self._waiting_for = seq

    @property
    def unsaved(self) -> bool:
        """Whether there is a snapshot that is no checkpoint yet."""
        return self.newest is not None and self.newest.seq > self._durable_seq

    @property
    def hopeless(self) -> bool:
        """Whether neither the store nor the spool took the newest snapshot."""
        return self.newest is not None and self.newest.seq <= self._hopeless_seq

    @property
    def _durable_seq(self) -> int:
        return self.durable.seq if self.durable else 0

    # ------------------------------------------------------------------ writing

    def estimate_s(self) -> float:
        """Seconds that making the newest snapshot durable will take, by what this session has seen."""
        size = self.newest.size_bytes if self.newest else 0
        return _FIXED_S + size / self._lane().bytes_per_s

    def sockets(self) -> list[int]:
        """File descriptors that become readable when there is something to hear."""
        return [
            lane.peer.socket.fileno()
            for lane in (self._store, self._spool)
            if lane.peer is not None and not lane.peer.channel_is_closed
        ]

    def patience_s(self) -> float | None:
        """Seconds until `work` must be called again though nothing was heard; None if it need not be."""
        now, times = self._clock(), [self._last_began + self._every_s] if self.unsaved else []
        for lane in (self._store, self._spool):
            if lane.busy_since is not None:
                times += [lane.busy_since + lane.hangs_after_s, lane.busy_since + self._strangely_long_s()]
        return min((at - now for at in times if at > now), default=None)

    def hurry(self) -> None:
        """What there is now is to be written at once."""
        self._hurry_seq = self.newest.seq if self.newest else 0

    def work(self) -> None:
        """Hear the writers, give up those that hang, and have the newest snapshot written if it is time."""
        for lane in (self._store, self._spool):
            self._hear(lane)
            if lane.busy_since is not None and self._clock() >= lane.busy_since + lane.hangs_after_s:
                self._give_up(lane)
                self._fault(lane, f"it has not answered for {lane.hangs_after_s:.0f} s")
        if not self.unsaved or self.lost is not None:
            return
        urgent = self._durable_seq < self._hurry_seq and not self.hopeless
        lane = self._lane(urgent=urgent)
        if lane.busy_since is not None:
            return
        waited_for = self._waiting_for > self._durable_seq
        first = self.durable is None or self.durable.step == 0
        if urgent or waited_for or first or self._clock() >= self._last_began + self._every_s:
            self._last_began = lane.busy_since = self._clock()
            lane.size_bytes = self.newest.size_bytes if self.newest else 0
            if lane.peer is None and self._guarded:
                lane.start().send(Guard(pid=self._guarded))
            lane.start().send(Persist())

    def _lane(self, *, urgent: bool = False) -> Lane:
        """The store, unless it has failed a moment ago or, where time presses, takes strangely long."""
        now, busy_since = self._clock(), self._store.busy_since
        if now < self._store.down_until:
            return self._spool
        slow = busy_since is not None and now >= busy_since + self._strangely_long_s()
        return self._spool if urgent and slow else self._store

    def _strangely_long_s(self) -> float:
        size = self.newest.size_bytes if self.newest else 0
        return max(2.0, 3 * self._store.longest_s, 3 * size / self._store.bytes_per_s)

    def _hear(self, lane: Lane) -> None:
        if lane.peer is None:
            return
        for message in lane.peer.receive():
            self._on_message(lane, message)
        if lane.peer is not None and lane.peer.channel_is_closed:
            was_busy = lane.busy_since is not None
            self._give_up(lane)
            lane.deaths += 1
            if was_busy and lane.deaths >= _MOST_DEATHS:
                self._fault(lane, "the process that writes to it has ended several times")

    def _on_message(self, lane: Lane, message: Message) -> None:
        if isinstance(message, Persisted):
            self._on_persisted(lane, message)
        elif isinstance(message, PersistFailed):
            lane.busy_since = None
            if message.seq:
                self._fault(lane, message.reason)
        elif isinstance(message, Lost):
            lane.busy_since = None
            self.lost = message
        elif isinstance(message, Closed):
            self._closed = message

    def _on_persisted(self, lane: Lane, message: Persisted) -> None:
        lane.busy_since, lane.deaths, lane.down_until, lane.retry_s = None, 0, 0.0, _RETRY_S
        lane.longest_s = max(lane.longest_s, message.seconds)
        if message.size_bytes > 1e6:
            lane.bytes_per_s = message.size_bytes / max(message.seconds, 1e-3)
        if lane is self._store and message.free_bytes >= 0:
            self.free_bytes = message.free_bytes
        if message.seq <= self._durable_seq:
            return
        self.durable, self.spooled = message, lane is self._spool
        if not self.spooled:
            self._drop_spool()
        self._let_go(message.seq)
        self.on_saved(message)

    def _fault(self, lane: Lane, reason: str) -> None:
        """A lane has failed: the store is left alone for a while, and the spool takes over."""
        lane.deaths = 0
        if lane is self._spool:
            self.on_problem(f"{reason}, and neither does the spool on the local disk take it")
            self._last_began = self._clock()
            self._hopeless_seq = self._hurry_seq = self.newest.seq if self.newest else 0
            self._let_go(self._waiting_for, reason)
            return
        first = not lane.down_until
        lane.down_until, lane.retry_s = self._clock() + lane.retry_s, min(2 * lane.retry_s, _LONGEST_RETRY_S)
        if first:
            self.on_problem(reason)
        # what could not be saved here is due elsewhere
        self._last_began = float("-inf")

    def _let_go(self, seq: int, problem: str = "") -> None:
        if 0 < self._waiting_for <= seq:
            self.answer(Durable(seq=self._waiting_for, problem=problem))
            self._waiting_for = 0

    def _give_up(self, lane: Lane) -> None:
        """Leave a writer to itself: killed, though on a hung mount it dies only when that answers."""
        peer, lane.peer, lane.busy_since = lane.peer, None, None
        if peer is not None:
            peer.kill()
            self._left.append(peer)

    def _drop_spool(self) -> None:
        if self._spool.peer is not None:
            self._give_up(self._spool)
            spool.remove(self._spool.write.store, self._spool.write.job)

    # ------------------------------------------------------------------ the end

    def begin_close(self, message: Close) -> None:
        """Have the end of the session recorded, and the lease given back."""
        self._closed = None
        self._store.start().send(message)

    @property
    def closed(self) -> Closed | None:
        """The writer's answer to that, when it has come."""
        return self._closed

    def saved_as(self, final: Saved | Snapped | None) -> Saved | Persisted | None:
        """The checkpoint that the child's last state became, if it became one, with all the time that this took."""
        if isinstance(final, Snapped):
            durable = self.durable
            saved = durable is not None and durable.seq >= final.seq
            return replace(durable, seconds=durable.seconds + final.seconds) if durable and saved else None
        return final

    @property
    def spooled_in(self) -> str:
        """Where the newest checkpoint lies, if not in the store."""
        return self.spool_folder if self.spooled else ""

    @property
    def spool_folder(self) -> str:
        """Where the spool is, for people."""
        return self._spool.write.store
