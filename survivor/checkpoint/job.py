"""What is run, and when it was: the job record and the session records (docs/format.md, "Job and sessions").

No file here is written twice. A changed job record is a new file with a higher number, a session's end is
a file beside its beginning; so two writers never share one, and a torn file costs the last change only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from survivor.checkpoint.envelope import Envelope, is_moment, seal, unseal
from survivor.checkpoint.lease import this_host, this_user
from survivor.checkpoint.names import JOB, SESSIONS, leaf, new_nonce
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, NewerFormatError, StoreError
from survivor.store.base import AbsentError

_RECORD = re.compile(r"(\d{6,10})-[0-9a-f]{8}\.json")
_SESSION_OR_END = re.compile(r"(\d{6,10})(?:\.end)?\.json")
_SESSION = re.compile(r"(\d{6,10})\.json")
_ATTEMPTS = 100


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """What a job runs, so that its folder alone is enough to go on with it.

    Attributes:
        argv: the command line: the script's path and its arguments.
        script: the script's path, absolute, on the machine that recorded it.
        source: the script's text.
        modules: text of the user's own modules, by path relative to the script's folder.
        folder: the working directory.
        hash_seed: ``PYTHONHASHSEED`` of every session.
        python: version of Python that recorded it.
        created: seconds since 1970.
        finished: the script has run to its end.
        extra: whatever else the first session recorded; JSON.
    """

    argv: tuple[str, ...]
    script: str
    source: str
    modules: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    hash_seed: int = 0
    python: str = ""
    created: float = 0.0
    finished: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, repository: Repository) -> None:
        """Make this the job's record; durable when it returns.

        Raises:
            StoreError: the store refused; the record before it stays.
        """
        number = max((number for number, _ in _numbered(repository, JOB, _RECORD)), default=0) + 1
        name = f"{number:06d}-{new_nonce()}"
        head = {
            "argv": list(self.argv),
            "script": self.script,
            "folder": self.folder,
            "hash_seed": self.hash_seed,
            "python": self.python,
            "created": self.created,
            "finished": self.finished,
            "extra": self.extra,
        }
        data = seal("job", name, head, {"source": self.source, "modules": self.modules})
        repository.store.put(f"{repository.job}/{JOB}/{name}.json", [data])

    @classmethod
    def read(cls, repository: Repository) -> JobRecord | None:
        """Return the newest record that is whole, or None if the job has none.

        Raises:
            FormatError: there are records, and all of them are damaged.
            NewerFormatError: a newer survivor wrote them.
            StoreError: the store can't be read.
        """
        damaged: StoreError | None = None
        for _, name in sorted(_numbered(repository, JOB, _RECORD), reverse=True):
            try:
                return _job_record(_open(repository, "job", name))
            except NewerFormatError:
                raise
            except (FormatError, AbsentError) as error:
                damaged = damaged or error
        if damaged is not None:
            raise FormatError(
                f"no record of job {repository.job!r} is whole: {damaged}",
                advice="its hash seed is in there, without which it can't go on exactly; --fresh starts over and "
                "keeps the old folder aside",
            ) from damaged
        return None


@dataclass(frozen=True, kw_only=True)
class SessionRecord:
    """One supervised stretch of a job.

    Attributes:
        number: 1, 2, 3 …
        host, user, pid: where it ran.
        started: seconds since 1970.
        fingerprint: its environment; JSON.
        ended: seconds since 1970, or None while it runs, or where it was cut off.
        reason: why it ended, in words.
        result: whatever else its end recorded; JSON.
    """

    number: int
    host: str
    user: str
    pid: int
    started: float
    fingerprint: dict[str, Any] = field(default_factory=dict)
    ended: float | None = None
    reason: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, repository: Repository, *, pid: int, fingerprint: dict[str, Any] | None = None
    ) -> SessionRecord:
        """Record that a session begins, under the next free number.

        Raises:
            StoreError: the store refused.
        """
        # an end may have arrived without its beginning: its number is taken, or its file would be this one's end
        number = max((number for number, _ in _numbered(repository, SESSIONS, _SESSION_OR_END)), default=0)
        for _ in range(_ATTEMPTS):
            number += 1
            record = cls(
                number=number,
                host=this_host(),
                user=this_user(),
                pid=pid,
                started=time.time(),
                fingerprint=fingerprint or {},
            )
            head = {key: getattr(record, key) for key in ("number", "host", "user", "pid", "started")}
            data = seal("session", f"{number:06d}", head, {"fingerprint": record.fingerprint})
            if repository.store.put_if_absent(f"{repository.job}/{SESSIONS}/{number:06d}.json", data):
                return record
        raise StoreError(f"{repository.describe()}: no free session number after {_ATTEMPTS} attempts")

    def end(self, repository: Repository, reason: str, result: dict[str, Any] | None = None) -> SessionRecord:
        """Record that this session ended, and why; the first word counts.

        Raises:
            StoreError: the store refused.
        """
        done = replace(self, ended=time.time(), reason=reason, result=result or {})
        name = f"{self.number:06d}.end"
        data = seal("session-end", name, {"ended": done.ended, "reason": reason}, {"result": done.result})
        repository.store.put_if_absent(f"{repository.job}/{SESSIONS}/{name}.json", data)
        return done

    @classmethod
    def read_all(cls, repository: Repository) -> list[SessionRecord]:
        """Return the sessions whose records are whole, in order.

        Raises:
            NewerFormatError: a newer survivor wrote them.
            StoreError: the store can't be read.
        """
        found = []
        for number, name in sorted(_numbered(repository, SESSIONS, _SESSION)):
            try:
                begun = _session_record(number, _open(repository, "session", name))
                found.append(_ended(begun, repository, name))
            except NewerFormatError:
                raise
            except (FormatError, AbsentError):
                continue
        return found


def _numbered(repository: Repository, folder: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    for entry in repository.store.files(f"{repository.job}/{folder}"):
        match = pattern.fullmatch(leaf(entry.name))
        if match:
            yield int(match[1]), entry.name


def _open(repository: Repository, kind: str, name: str) -> Envelope:
    return unseal(kind, leaf(name).removesuffix(".json"), repository.store.get(name), name)


def _job_record(envelope: Envelope) -> JobRecord:
    where, head, body = envelope.where, envelope.head, _dict(envelope.body(), envelope.where)
    argv, modules = head.get("argv"), _dict(body.get("modules"), where)
    if not isinstance(argv, list) or not all(isinstance(text, str) for text in (*argv, *modules.values())):
        raise FormatError(f"{where} does not hold what a job record should")
    return JobRecord(
        argv=tuple(argv),
        script=_text(head, "script", where),
        source=_text(body, "source", where),
        modules=modules,
        folder=_text(head, "folder", where),
        hash_seed=int(_number(head, "hash_seed", where)),
        python=_text(head, "python", where),
        created=_number(head, "created", where),
        finished=head.get("finished") is True,
        extra=_dict(head.get("extra"), where),
    )


def _session_record(number: int, envelope: Envelope) -> SessionRecord:
    head, where = envelope.head, envelope.where
    return SessionRecord(
        number=number,
        host=_text(head, "host", where),
        user=_text(head, "user", where),
        pid=int(_number(head, "pid", where)),
        started=_number(head, "started", where),
        fingerprint=_dict(_dict(envelope.body(), where).get("fingerprint"), where),
    )


def _ended(begun: SessionRecord, repository: Repository, name: str) -> SessionRecord:
    try:
        envelope = _open(repository, "session-end", f"{name.removesuffix('.json')}.end.json")
        return replace(
            begun,
            ended=_number(envelope.head, "ended", envelope.where),
            reason=_text(envelope.head, "reason", envelope.where),
            result=_dict(_dict(envelope.body(), envelope.where).get("result"), envelope.where),
        )
    except NewerFormatError:
        raise
    except (FormatError, AbsentError):
        return begun


def _dict(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{where} does not hold what it should")
    return value


def _text(values: dict[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{where}: {key!r} is no text")
    return value


def _number(values: dict[str, Any], key: str, where: str) -> float:
    value = values.get(key)
    if not is_moment(value):
        raise FormatError(f"{where}: {key!r} is no number that it could be")
    return value  # type: ignore[return-value]
