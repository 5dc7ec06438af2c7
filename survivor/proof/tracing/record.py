"""What a traced process notes: one JSON object a line, written at once, so that a kill loses none.

Lines have a kind ``k`` and, for events, the number ``i`` of events of this process so far:

``D`` a batch that a DataLoader gave, ``B`` a backward pass, ``G`` a call of ``torch.autograd.grad``, ``S`` a step of
an optimizer; each with a digest ``d`` of what it is about and one of each random stream ``r``. ``A`` a checkpoint is
about to be made here, ``C`` it was, ``R`` the state was restored, ``E`` a module's ``eval()`` was called, ``Z`` the
end. ``w`` is a walk: leaves that changed since the last one.
"""

from __future__ import annotations

import base64
import decimal
import json
import os
import sys
import time
from typing import Any

import numpy as np

from survivor.proof.tracing.digest import Digests, joined, streams, tensor_bytes
from survivor.proof.tracing.frames import Root, Script
from survivor.proof.tracing.walk import Walker

_MOST_KEPT_BYTES = 1 << 22
_MOST_TEXT = 20_000
_LIVE_EVENTS = 16


class Recorder:
    """The notes of one process.

    Args:
        plan: what the proof asked for, see `survivor.proof.runs.Plan`.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.pid = os.getpid()
        self.script = Script(plan["roots"])
        self.digests = Digests(plan["home"])
        self.walker = Walker(self.script, self.digests)
        self.events = 0  # counted from the first line of the script: a resumed process is told where it stands
        self.steps = 0
        self.kind = ""  # of the newest event
        self.muted = False  # while the way to a checkpoint is run again
        self.after_event: list[Any] = []
        self.after_eval: list[Any] = []
        self._saves = 0
        self._open_until: int | None = None  # in a live run, which notes only what follows some checkpoints
        self._learn_places()
        self._fd = os.open(plan["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._ids: dict[str, int] = {}
        self._roots: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self._walk_s = 0.0
        self.write({"k": "P"})

    def _learn_places(self) -> None:
        """Where the checkpoints of a process stand that has died in this session: this one goes on from one of them."""
        if not os.path.exists(self.plan["trace"]):
            return
        with open(self.plan["trace"], encoding="utf-8") as file:
            for line in file:
                if line.startswith('{"k": "A"'):
                    note = json.loads(line)
                    self.plan["places"][str(note["step"])] = (note["i"], note["n"])

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that trains, it does so for the first time, and is to be noted."""
        if self.plan["live"] and self._open_until is None:
            return False
        return not self.muted and os.getpid() == self.pid

    def is_marked(self) -> bool:
        """Whether a checkpoint that was just made is noted; in a live run, so is what follows."""
        self._saves += 1
        if not self.plan["live"]:
            return True
        if self._saves % self.plan["live"]:
            return False
        self._open_until = self.events + _LIVE_EVENTS
        return True

    # --- events ---------------------------------------------------------------------------------

    def event(self, kind: str, digest: str, frame: Any, shown: Any = None) -> None:
        """Something has happened, in the script's ``frame`` or below it."""
        if not self.is_ours:
            return
        self.events += 1
        self.kind = kind
        self.steps += kind == "S"
        line: dict[str, Any] = {"k": kind, "i": self.events, "n": self.steps, "d": digest, "r": streams()}
        if shown is not None:
            line["v"] = shown
        every = self.plan["sample"] * (1 if kind == "S" else 8)
        if self.plan["closely"] is not None and self.events > self.plan["closely"]:
            every = 1
        number = int(digest, 16)
        wanted = self.plan["dump"] == self.events
        if (every and kind in "SBG" and number % every == 0) or wanted:
            line["w"] = self.walk(frame, bulk=number % (every * 16) == 0 or wanted, dump=wanted)
        self.write(line)
        self.digests.forget()
        for call in self.after_event:
            call()
        if self._open_until is not None and (kind == "S" or self.events >= self._open_until):
            self._open_until = None
        if self.plan["until"] == self.events or (kind == "S" and self.steps == self.plan["steps"]):
            self.end(cut=True)
            leave(self.plan)

    def data(self, value: Any, *, first: bool) -> None:
        """A batch has come out of a loader."""
        walk = self.walker.walk([Root("|batch", "batch", value)])
        if self.is_ours:
            dump = self._values(Root("|batch", "batch", value)) if self.plan["dump"] == self.events + 1 else None
            dump = dump or ("first" if first else None)
            self.event("D", joined([f"{k}={v}" for k, v in walk.leaves.items()]), None, dump)

    def _values(self, root: Root) -> Any:
        self.walker.keep = kept
        try:
            return self.walker.walk([root]).values
        finally:
            self.walker.keep = None

    def mark(self, kind: str, frame: Any, dump: bool, **more: Any) -> None:
        """A checkpoint, or the state after one was restored."""
        line = {"k": kind, "i": self.events, "n": self.steps, "r": streams(), **more}
        if self.plan["sample"] or dump:
            self.digests.forget()
            line["w"] = self.walk(frame, bulk=True, dump=dump, afresh=True)
            self.digests.forget()
        self.write(line)

    def evaluated(self) -> None:
        """``eval()`` was called on a module."""
        if self.is_ours:
            self.write({"k": "E", "i": self.events})
            for call in self.after_eval:
                call()

    def end(self, *, cut: bool = False) -> None:
        """The script has run to its end, or as far as was asked for."""
        if self.is_ours:
            state = streams()
            self.write({"k": "Z", "i": self.events, "n": self.steps, "r": state, "cut": cut, "walk_s": self._walk_s})

    def write(self, line: dict[str, Any]) -> None:
        """Add a line."""
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    # --- walks ----------------------------------------------------------------------------------

    def walk(self, frame: Any, *, bulk: bool, dump: bool = False, afresh: bool = False) -> dict[str, Any]:
        """The state that ``frame`` sees, as the difference from the last walk's (or whole, ``afresh``)."""
        begin = time.perf_counter()
        self.walker.with_bulk = bulk
        self.walker.keep = kept if dump else None
        roots = self.script.roots(frame)
        try:
            walk = self.walker.walk([*roots, *_process(self.plan["home"])])
        finally:
            self.walker.keep = None
        last = {} if afresh else self._last
        changed = {k: d for k, d in walk.leaves.items() if last.get(k) != d}
        gone = [k for k in last if k not in walk.leaves and not (k in walk.bulk and not bulk)]
        found: dict[str, Any] = {
            "new": [[k, k in walk.soft, k in walk.bulk] for k in [*changed, *gone] if self._number(k)],
            "c": [[self._ids[k], d] for k, d in changed.items()],
            "x": [self._ids[k] for k in gone],
            "live": [root.key for root in roots],
            "a": walk.aliases,
            "b": bulk,
            "whole": afresh,
        }
        if dump:
            found["values"] = walk.values
        kept_bulk = {} if bulk else {k: d for k, d in self._last.items() if k in walk.bulk}
        self._last = walk.leaves | kept_bulk
        self._walk_s += time.perf_counter() - begin
        return found

    def _number(self, key: str) -> bool:
        """Give a leaf its number; returns whether it is new."""
        if key in self._ids:
            return False
        self._ids[key] = len(self._ids)
        return True


def kept(path: str, value: Any) -> Any:
    """What is kept of a value, so that two runs' can be compared: bits of tensors, text of the rest."""
    import torch

    if isinstance(value, torch.Tensor):
        _, data = tensor_bytes(value)
        dtype, shape = str(value.dtype).removeprefix("torch."), list(value.shape)
    elif isinstance(value, np.ndarray):
        dtype, shape, data = str(value.dtype), list(value.shape), np.ascontiguousarray(value).tobytes()
    elif isinstance(value, list):
        return {"items": [repr(item)[:200] for item in value[:_MOST_TEXT]], "len": len(value)}
    else:
        return {"text": repr(value)[:_MOST_TEXT]}
    if len(data) > _MOST_KEPT_BYTES:
        return {"dtype": dtype, "shape": shape, "data": None}
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(bytes(data)).decode()}


def _process(home: str) -> list[Root]:
    """What belongs to the process and not to the script, and changes what is computed or printed."""
    import torch

    exact = decimal.getcontext()
    printing = [each for each in np.get_printoptions().items() if each[0] not in ("formatter", "override_repr")]
    try:
        folder = os.path.relpath(os.getcwd(), home)
    except FileNotFoundError:
        folder = "removed"

    flags = {
        "torch.get_default_dtype()": str(torch.get_default_dtype()),
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "torch.get_num_threads()": torch.get_num_threads(),
        "torch.are_deterministic_algorithms_enabled()": torch.are_deterministic_algorithms_enabled(),
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
        "sys.getrecursionlimit()": sys.getrecursionlimit(),
        "numpy.geterr()": str(np.geterr()),
        "numpy.get_printoptions()": str(printing),
        "torch.set_printoptions()": str(torch._tensor_str.PRINT_OPTS),
        "decimal.getcontext()": f"prec={exact.prec} rounding={exact.rounding}",
        "os.getcwd()": folder,
    }
    return [Root(f"process|{name}", name, value) for name, value in flags.items()]


def leave(plan: dict[str, Any]) -> None:
    """End this process here: the rest was not asked for."""
    from survivor.training.ending import flush_everything

    flush_everything()
    if plan["role"] == "child":
        kill_all(9)
    os._exit(0)


def kill_all(number: int) -> None:
    """Send a signal to the supervisor, to all that it has started, and to this process last."""
    import psutil

    supervisor = psutil.Process(os.getppid())
    others = [p for p in supervisor.children(recursive=True) if p.pid != os.getpid()]
    for each in [supervisor, *others]:
        try:
            each.send_signal(number)
        except psutil.Error:
            continue
    os.kill(os.getpid(), number)
