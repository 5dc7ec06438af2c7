"""Runs a program plainly, and under the engine with kills, each time in a fork of this process.

torch is loaded once; a fork costs a few milliseconds, so a session does too. A program calls
``event(*values)``, which notes its arguments in a canonical text (with aliases, so that what was one object
must stay one). The list of these texts is the program's *trace*. What a session under the engine notes is
compared with the plain trace at once: it must go on exactly where its checkpoint was taken.

A kill is the loss of everything but the newest snapshot. A session therefore need not really die: it puts
down its newest snapshot at the event of the kill (a *dump*, JSON and bytes only) and goes on to the end, which
checks more. Some sessions die by SIGKILL all the same.
"""

from __future__ import annotations

import builtins
import collections
import hashlib
import json
import os
import pickle
import random
import select
import signal
import sys
import traceback
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import SurvivorError
from survivor.training import program
from survivor.training.engine import Engine
from survivor.training.settings import Settings

LIMIT_S = 30
MOST_EVENTS = 3000
FILENAME = "script.py"


@dataclass
class Dump:
    """The newest snapshot at the time of a kill.

    Attributes:
        killed_at: events that had been noted when the session was killed.
        saved_at: events that had been noted when the snapshot was taken.
    """

    killed_at: int
    saved_at: int
    text: str
    bytes: dict[str, tuple[str, tuple[int, ...], bytes]]
    position: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)

    @property
    def metrics(self) -> dict[str, float]:
        return {}

    def blobs(self) -> dict[str, Blob]:
        return {
            name: Blob(name=name, dtype=dtype, shape=shape, data=memoryview(data))
            for name, (dtype, shape, data) in self.bytes.items()
        }


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        status: "ok", or what was wrong: "differs", "short", "refused", "warned", "crashed", "died".
        trace: what was noted (plain runs only).
        dumps: one for each kill, in the order of the events.
        saves: snapshots with levels that were taken.
    """

    status: str = "ok"
    detail: str = ""
    trace: list[str] = field(default_factory=list)
    dumps: list[Dump] = field(default_factory=list)
    saves: int = 0

    @property
    def kind(self) -> str:
        """The status with what distinguishes one fault from another of the same status."""
        return self.status


# --- canonical text -----------------------------------------------------------------------------------


def describe(value: Any, memo: dict[int, int] | None = None) -> str:
    """A text that is equal for equal values with equal sharing between their parts."""
    memo = {} if memo is None else memo
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return f"{type(value).__name__}:{value!r}" if isinstance(value, np.generic) else repr(value)
    if isinstance(value, types.FunctionType):
        return f"<function {value.__name__}>"
    if id(value) in memo:
        return f"@{memo[id(value)]}"
    number = memo[id(value)] = len(memo)
    return f"#{number}{_body(value, memo)}"


def _body(value: Any, memo: dict[int, int]) -> str:
    name = type(value).__name__
    inner = lambda items: ", ".join(describe(item, memo) for item in items)  # noqa: E731
    if isinstance(value, torch.Tensor):
        data = value.detach()
        grad = describe(value.grad, memo) if value.is_leaf and value.grad is not None else ""
        storage = value.untyped_storage().data_ptr()
        shared = memo.setdefault(storage, len(memo)) if storage else "-"
        # not whether it has a graph: one that is detached before its next use comes back without
        return f"tensor({data.tolist()}, {data.dtype}, {grad}, in {shared})"
    if isinstance(value, np.ndarray):
        return f"array({value.tolist()}, {value.dtype})"
    if isinstance(value, dict):
        return f"{name}{{{', '.join(f'{describe(k, memo)}: {describe(v, memo)}' for k, v in value.items())}}}"
    if isinstance(value, (set, frozenset)):
        return f"{name}({', '.join(sorted(map(repr, value)))})"
    if isinstance(value, (list, tuple, collections.deque)):
        return f"{name}({inner(list(value))})"
    if isinstance(value, random.Random):
        return f"rng({_digest(value.getstate())})"
    if isinstance(value, np.random.Generator):
        return f"rng({_digest(value.bit_generator.state)})"
    if isinstance(value, torch.Generator):
        return f"rng({_digest(value.get_state().tolist())})"
    if isinstance(value, (types.MethodType, types.BuiltinMethodType)):
        return f"method {value.__name__} of {describe(value.__self__, memo)}"
    if isinstance(value, Iterator):
        return "iterator"  # what it gives is seen when it is asked
    attributes = dict(getattr(value, "__dict__", {})) if type(value).__module__ == "__main__" else {}
    for slot in getattr(type(value), "__slots__", ()):
        if hasattr(value, slot):
            attributes[slot] = getattr(value, slot)
    return f"{name}[{', '.join(f'{k}={describe(v, memo)}' for k, v in attributes.items())}]"


def _digest(state: Any) -> str:
    return hashlib.sha256(repr(state).encode()).hexdigest()[:12]


def describe_all(values: Iterable[Any]) -> str:
    memo: dict[int, int] = {}
    return " | ".join(describe(value, memo) for value in values)


def rng_state() -> str:
    """A digest of each of the global random number generators."""
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    return "rng " + " ".join(_digest(state) for state in states)


# --- in the fork --------------------------------------------------------------------------------------


class _Done(BaseException):
    """The run is over; no program catches this."""


class _Run:
    """One run in the forked process: what ``event`` and the engine talk to."""

    def __init__(self, out: int, plain: list[str] | None, kills: list[int], die: bool) -> None:
        self.outcome = Outcome()
        self.count = 0
        self.newest: Dump | None = None
        self.engine: Engine | None = None
        self._out = out
        self._plain = plain
        self._kills = collections.deque(sorted(kills))
        self._die = die

    def end(self, status: str, detail: str = "") -> None:
        """Report, and leave this process at once."""
        self.outcome.status, self.outcome.detail = status, detail
        self._report()
        os._exit(0)

    def _report(self) -> None:
        with os.fdopen(os.dup(self._out), "wb") as file:
            pickle.dump(self.outcome, file)

    def event(self, *values: Any) -> None:
        """The builtin of that name."""
        if self.engine is not None and self.engine.replay is not None:
            return
        self.note(describe_all(values))

    def note(self, text: str) -> None:
        if self._plain is None:
            self.outcome.trace.append(text)
            if len(self.outcome.trace) > MOST_EVENTS:
                self.end("crashed", "too many events")
        elif self.count >= len(self._plain) or self._plain[self.count] != text:
            wanted = self._plain[self.count] if self.count < len(self._plain) else "<the end>"
            frames = "".join(traceback.format_stack()[-6:-2])
            self.end("differs", f"event {self.count}:\n  plain:    {wanted}\n  survivor: {text}\nat\n{_own(frames)}")
        while self._kills and self._kills[0] <= self.count:
            at = self._kills.popleft()
            if self.newest is not None:
                self.newest.killed_at = at
                self.outcome.dumps.append(Dump(**vars(self.newest)))
            if self._die and not self._kills:
                self.outcome.status = "killed"
                self._report()
                os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    # the engine's link

    def save(self, snapshot: Snapshot, *, final: bool, needed: bool = False) -> None:
        levels = snapshot.document["levels"]
        if not levels and any(snapshot.document["ended"]):
            return  # the last one of all: nothing is trained after it
        self.outcome.saves += bool(levels)
        self.newest = Dump(
            killed_at=-1,
            saved_at=self.count if levels else 0,
            text=json.dumps(snapshot.document, allow_nan=False),
            bytes={name: (blob.dtype, blob.shape, bytes(blob.data)) for name, blob in snapshot.blobs.items()},
            position=snapshot.position,
        )

    def beat(self, now_s: float) -> None:
        pass

    def leave(self) -> None:
        self.end("refused", "leave() was called")

    def refuse(self, error: SurvivorError) -> None:
        self.end("refused", f"{type(error).__name__}: {error}")

    def note_(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        if "can be made here" in text or "partial" in text:
            self.end("warned", text)


class _Link:
    """The `Link` of the engine; `_Run.note` is something else than the link's."""

    def __init__(self, run: _Run) -> None:
        self.save, self.leave, self.refuse, self.warn, self.beat = run.save, run.leave, run.refuse, run.warn, run.beat
        self.note = run.note_
        self.settled = lambda: None


def _own(text: str) -> str:
    return text


def _seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def _execute(run: _Run, source: str, folder: str, resume: Dump | None, watched: bool) -> None:
    filename = os.path.join(folder, FILENAME)
    _seed(1 if resume is None else 99 + resume.saved_at)
    builtins.event = run.event  # type: ignore[attr-defined]
    sys.path.insert(0, folder)
    if watched:
        engine = Engine(_Link(run), Settings(every_s=0), Path(folder))  # type: ignore[arg-type]
        engine.install_import_hook()
        engine.begin(resume)
        run.engine = engine
        run.newest = resume if resume is not None else run.newest
        run.count = resume.saved_at if resume is not None else 0
    main = program.make_main(
        program.Program(source=source.encode(), filename=filename, argv0=filename, loader=None)
    )
    code = engine.compile(source, filename, "__main__") if watched else compile(source, filename, "exec")
    exec(code, main.__dict__)
    if watched:
        engine.finish()
    run.note(rng_state())


def _child(out: int, source: str, folder: str, plain: list[str] | None, kills: list[int], resume: Any, die: bool) -> None:
    run = _Run(out, plain, kills, die)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    signal.signal(signal.SIGALRM, lambda *_: run.end("died", f"no end within {LIMIT_S} s; {run.count} events\n"
                                                     + "".join(traceback.format_stack()[-8:])))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        _execute(run, source, folder, resume, plain is not None)
    except SurvivorError as error:
        run.end("refused", f"{type(error).__name__}: {error}")
    except BaseException as error:
        run.end("crashed", "".join(traceback.format_exception(error)[-6:]))
    if plain is not None and run.count < len(plain):
        run.end("short", f"ended after {run.count} of {len(plain)} events")
    run.end("ok")


# --- the parent's side --------------------------------------------------------------------------------


def _forked(*args: Any) -> Outcome:
    out = os.memfd_create("outcome")
    pid = os.fork()
    if pid == 0:
        try:
            _child(out, *args)
        finally:
            os._exit(70)
    poller = select.poll()
    poller.register(watcher := os.pidfd_open(pid), select.POLLIN)
    if not poller.poll((LIMIT_S + 2) * 1000):
        os.kill(pid, signal.SIGKILL)
    os.close(watcher)
    _, status = os.waitpid(pid, 0)
    try:
        os.lseek(out, 0, os.SEEK_SET)
        with os.fdopen(out, "rb") as file:
            data = file.read()
        if data:
            return pickle.loads(data)
    finally:
        pass
    return Outcome(status="died", detail=f"wait status {status}")


def run_plain(source: str, folder: str = "/tmp/survivor-property") -> Outcome:
    """``python script.py``: its trace."""
    return _forked(source, folder, None, [], None, False)


def run_session(
    source: str,
    plain: list[str],
    kills: Iterable[int] = (),
    resume: Dump | None = None,
    *,
    folder: str = "/tmp/survivor-property",
    die: bool = False,
) -> Outcome:
    """A session under the engine, from the start or from a dump.

    Args:
        plain: the trace of the plain run, which this one is compared with.
        kills: numbers of the events at which a dump is made.
        die: be killed at the last of these, instead of going on to the end.
    """
    return _forked(source, folder, plain, list(kills), resume, die)


class NotLegal(Exception):
    """A program fails by itself."""


@dataclass
class Failure:
    """A program that did not go on as it was."""

    source: str
    session: int
    dump: Dump | None
    outcome: Outcome

    def __str__(self) -> str:
        where = "the first session" if self.dump is None else (
            f"session {self.session}, killed at event {self.dump.killed_at}, "
            f"saved at event {self.dump.saved_at} ({self.dump.position})"
        )
        return f"{self.outcome.status} in {where}:\n{self.outcome.detail}"


def check(source: str, rng: random.Random, *, chains: int = 3, sessions: int = 3) -> tuple[int, Failure | None]:
    """Kill and resume a program at random events.

    Args:
        rng: chooses the events.
        chains: kills of the first session.
        sessions: how often a run is killed at most.

    Returns:
        How many resumed sessions were compared, and the first that failed.
    """
    plain = run_plain(source)
    if plain.status != "ok":
        raise NotLegal(plain.detail.strip())
    trace = plain.trace
    first = run_session(source, trace, _points(rng, 0, len(trace), chains), die=rng.random() < 0.1)
    if first.status not in ("ok", "killed"):
        return 1, Failure(source, 1, None, first)
    waiting = [(1, dump) for dump in first.dumps]
    seen: set[int] = set()
    count = 0
    while waiting:
        session, dump = waiting.pop()
        if (key := hash(dump.text)) in seen:
            continue
        seen.add(key)
        kills = _points(rng, dump.saved_at + 1, len(trace), 1) if session < sessions else []
        outcome = run_session(source, trace, kills, dump)
        count += 1
        if outcome.status not in ("ok", "killed"):
            return count, Failure(source, session + 1, dump, outcome)
        waiting += [(session + 1, later) for later in outcome.dumps]
    return count, None


def _points(rng: random.Random, start: int, stop: int, number: int) -> list[int]:
    return sorted(rng.sample(range(start, stop), min(number, stop - start))) if start < stop else []
