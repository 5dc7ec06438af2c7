"""The lease: who may write a job folder, and the fencing token by which the folder itself refuses the others.

A lease alone does not exclude: a holder can sleep (a suspended machine, a hung mount) past any time limit,
wake up and write. So every commit carries its token, looks for a higher one first, and what a sleeper
managed to write all the same sorts below what its successor wrote (docs/format.md, invariants 4 and 5).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from survivor.checkpoint.envelope import is_moment, seal, unseal
from survivor.checkpoint.names import LEASES, leaf
from survivor.errors import FormatError, JobRunningError, NewerFormatError
from survivor.store.base import AbsentError, Entry, Store

TTL_S = 300.0
REFRESH_S = 60.0  # a holder that lives should give a sign this often

#: Larger process numbers no kernel has; to ask for one is an error of its own.
_MOST = {"pid": (1 << 31) - 1}
_CLAIM = re.compile(r"(\d{8,12})(\.beat|\.end)?\.json")


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who took a lease.

    Attributes:
        token: the lease's number.
        session: number of the session.
        host, user, pid: where it runs.
        boot: which start of which kernel and process namespace, so that a pid means something.
        born: when the process was started, by its kernel (seconds since 1970).
        since: when the lease was taken (seconds since 1970, the holder's clock).
        ttl_s: it is taken for dead after so long without a sign of life.
        seen: its last sign of life (seconds since 1970); not in the claim itself.
    """

    token: int
    session: int
    host: str
    user: str
    pid: int
    boot: str
    born: float
    since: float
    ttl_s: float
    seen: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        """Return who, where and since when, for people."""
        ago = max(0.0, time.time() - self.seen)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return (
            f"session {self.session} of {self.user}@{self.host} (pid {self.pid}) since {since}, "
            f"last sign of life {ago:.0f} s ago"
        )


class Fence:
    """Raises ``JobRunningError`` when called after another session has taken a higher token."""

    def __init__(self, store: Store, job: str, token: int) -> None:
        """Guard a job for the holder of ``token``."""
        if token < 1:
            raise ValueError(f"a token is 1 or higher, not {token}")
        self._store, self._job, self._token = store, job, token

    def __call__(self) -> None:
        """Look at the folder; raises ``JobRunningError`` or ``StoreError``."""
        highest = _Claims(self._store, self._job).highest
        if highest > self._token:
            who = _holder(self._store, self._job, highest)
            raise JobRunningError(
                f"job {self._job!r} was taken over by {who or 'another session'}; "
                "this session writes nothing more",
                advice="Nothing to do: the other session goes on from the last checkpoint.",
            )


class Lease:
    """A lease that this process holds. Use ``acquire``; call ``refresh`` every ``REFRESH_S`` seconds."""

    def __init__(self, store: Store, job: str, holder: Holder) -> None:
        """Stand for a claim that was made; see ``acquire``."""
        self._store, self._job = store, job
        self.holder = holder
        self._beats = 0

    @property
    def token(self) -> int:
        """The fencing token, for ``Repository.commit``."""
        return self.holder.token

    @classmethod
    def acquire(
        cls,
        store: Store,
        job: str,
        *,
        session: int,
        pid: int | None = None,
        ttl_s: float = TTL_S,
        take_over: bool = False,
    ) -> Lease:
        """Take the job, if nobody alive holds it.

        Args:
            store: where the job folder is.
            job: name of the job.
            session: number of the session that asks.
            pid: process whose end frees the lease; this one by default.
            ttl_s: seconds without a sign of life after which the holder may be taken for dead.
            take_over: take it from a live holder too, which stops at its next commit.

        Raises:
            JobRunningError: someone else holds it, or was faster.
            StoreError: the store can't be read or written.
        """
        # one look for both questions: with two, whoever came in between would be overtaken unseen
        claims = _Claims(store, job)
        current = _live(store, job, claims)
        if current is not None and not take_over:
            raise _running(job, current)
        token = claims.highest + 1
        mine = _myself(token, session, os.getpid() if pid is None else pid, ttl_s)
        name = f"{token:08d}"
        claim = seal("lease", name, {key: value for key, value in asdict(mine).items() if key != "seen"})
        store.put_if_absent(f"{job}/{LEASES}/{name}.json", claim)
        # What was answered is not asked: where exclusive creation is not kept (a mounted Drive) two are told that
        # they won, and a request that was answered twice (a retry) tells the winner that it lost. Look again.
        if _holder(store, job, token) != mine or _Claims(store, job).highest != token:
            faster = live_holder(store, job)
            if faster is None:
                raise JobRunningError(f"job {job!r}: another session was just taking it; try again")
            raise _running(job, faster)
        return cls(store, job, mine)

    def check(self) -> None:
        """Raise ``JobRunningError`` if another session has taken the job over, be it under the same token."""
        Fence(self._store, self._job, self.token)()
        if _holder(self._store, self._job, self.token, or_else=self.holder) != self.holder:
            raise JobRunningError(
                f"job {self._job!r}: two sessions took token {self.token} at once; this one stops"
            )

    def refresh(self) -> None:
        """Give a sign of life; raises ``JobRunningError`` if taken over, else ``StoreError``."""
        self.check()
        self._beats += 1
        name = f"{self.token:08d}.beat"
        beat = seal("lease-beat", name, {"time": time.time(), "count": self._beats})
        self._store.put(f"{self._job}/{LEASES}/{name}.json", [beat])

    def release(self) -> None:
        """Give the job back, so that the next session need not wait; raises ``StoreError``."""
        name = f"{self.token:08d}.end"
        self._store.put_if_absent(
            f"{self._job}/{LEASES}/{name}.json", seal("lease-end", name, {"time": time.time()})
        )


def live_holder(store: Store, job: str) -> Holder | None:
    """Return who holds the job now, or None if nobody alive does.

    Raises:
        StoreError: the store can't be read.
    """
    return _live(store, job, _Claims(store, job))


def _live(store: Store, job: str, claims: _Claims) -> Holder | None:
    if claims.highest == 0 or claims.ended(claims.highest):
        return None
    holder = _holder(store, job, claims.highest)
    if holder is None:
        # torn: its writer is at work this moment, or died in it
        written = claims.modified(claims.highest)
        alive = written is not None and time.time() - written < REFRESH_S
        return _unknown(claims.highest, written or 0.0) if alive else None
    if holder.boot == _boot() and holder.host == this_host():
        return holder if _is_alive(holder.pid, holder.born) else None
    return holder if time.time() - holder.seen < holder.ttl_s else None


class _Claims:
    """One look into the folder of leases; a listing that hides a file makes it look older, never newer."""

    def __init__(self, store: Store, job: str) -> None:
        self._entries: dict[tuple[int, str], Entry] = {}
        for entry in store.files(f"{job}/{LEASES}"):
            match = _CLAIM.fullmatch(leaf(entry.name))
            if match:
                self._entries[int(match[1]), match[2] or ""] = entry

    @property
    def highest(self) -> int:
        # a beat or an end without its claim means that the claim is hidden for the moment
        return max((token for token, _ in self._entries), default=0)

    def ended(self, token: int) -> bool:
        return (token, ".end") in self._entries

    def modified(self, token: int) -> float | None:
        times = [entry.modified for (number, _), entry in self._entries.items() if number == token]
        return max((seconds for seconds in times if seconds is not None), default=None)


def _holder(store: Store, job: str, token: int, or_else: Holder | None = None) -> Holder | None:
    """Return who made a claim and when they were last seen; ``or_else`` if the claim can't be read."""
    place = f"{job}/{LEASES}/{token:08d}"
    try:
        head = unseal("lease", f"{token:08d}", store.get(f"{place}.json"), f"{place}.json").head
    except NewerFormatError:
        raise
    except (FormatError, AbsentError):
        return or_else
    return _parsed(head, _last_seen(store, place, token)) or or_else


def _last_seen(store: Store, place: str, token: int) -> float:
    with contextlib.suppress(FormatError, AbsentError):
        beat = unseal(
            "lease-beat", f"{token:08d}.beat", store.get(f"{place}.beat.json"), f"{place}.beat.json"
        )
        seconds = beat.head.get("time")
        return float(seconds) if is_moment(seconds) else 0.0  # type: ignore[arg-type]
    return 0.0


def _parsed(head: dict[str, Any], seen: float) -> Holder | None:
    values: dict[str, Any] = {}
    for item in fields(Holder):
        if item.name == "seen":
            continue
        value = head.get(item.name)
        kinds = {"int": (int,), "float": (int, float), "str": (str,)}[str(item.type)]
        if not isinstance(value, kinds) or isinstance(value, bool):
            return None
        if not isinstance(value, str) and not (is_moment(value) and 0 <= value <= _MOST.get(item.name, value)):
            return None
        values[item.name] = value[:200] if isinstance(value, str) else value
    return Holder(**values, seen=max(seen, values["since"]))


def _myself(token: int, session: int, pid: int, ttl_s: float) -> Holder:
    now = time.time()
    return Holder(
        token=token, session=session, host=this_host(), user=this_user(), pid=pid, boot=_boot(),
        born=_born(pid), since=now, ttl_s=ttl_s, seen=now,
    )  # fmt: skip


def this_host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def this_user() -> str:
    """Return the user's name, or number where a container has no entry for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _unknown(token: int, seen: float) -> Holder:
    return Holder(
        token=token,
        session=0,
        host="?",
        user="?",
        pid=0,
        boot="",
        born=0.0,
        since=seen,
        ttl_s=TTL_S,
        seen=seen,
    )


def _boot() -> str:
    """Return what a pid is valid in: this boot of this kernel, and this container's process namespace."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return f"{psutil.boot_time():.0f}"


def _born(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _is_alive(pid: int, born: float) -> bool:
    try:
        process = psutil.Process(pid)
        # a pid is used again after a while; a zombie has ended
        return abs(process.create_time() - born) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _running(job: str, holder: Holder) -> JobRunningError:
    return JobRunningError(
        f"job {job!r} is being run by {holder}",
        advice="Wait for it with --wait, or take it over with --take-over (it stops at its next commit).",
    )
