"""In a process that trains under survivor: the signal at the chosen safe point, and the state before and after.

The safe point is chosen by the number of events of the plain run. At the first head after that many, the engine is
told to make a checkpoint. A polite signal is sent to the supervisor before, and its word awaited, so that the
checkpoint of this very head is the one that the session ends with. A kill strikes when the checkpoint is durable and
another optimizer step has been done and the next batch or loss is there: all that must be done again.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from signal import SIGKILL
from typing import Any

from survivor.proof.tracing.record import Recorder, kill_all

_PATIENCE_S = 60.0
#: Events after the checkpoint at which a session is killed, if no optimizer has stepped by then.
AFTER_EVENTS = 24


class Strike:
    """The end of this session.

    Args:
        recorder: counts the events.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        order = recorder.plan["strike"]
        self._at: int | None = order["event"] if order else None
        self._signal: int = order["signal"] if order else 0
        self._asked = threading.Event()
        self._sent = False
        self._kill_at: int | None = None
        self._steps = 0  # at the checkpoint
        recorder.after_event.append(self.after_event)

    def wants_checkpoint(self) -> bool:
        """Whether this head is to be a safe point, if it can be."""
        if self._sent or self._kill_at is not None:
            return False
        return self._at is not None and self._recorder.events >= self._at

    def before_head(self) -> None:
        """Send a polite signal ahead, and wait until the supervisor has passed it on."""
        if self._signal == SIGKILL or self._sent or self._at is None or self._recorder.events < self._at:
            return
        self._sent = True
        os.kill(os.getppid(), self._signal)
        self._asked.wait(_PATIENCE_S)

    def stop_came(self) -> None:
        """The supervisor has asked for the end."""
        self._asked.set()

    def saved(self, step: int) -> None:
        """A checkpoint was handed over."""
        if self._at is not None and self._recorder.events >= self._at and self._signal == SIGKILL:
            self._await_durable(step)
            self._kill_at = self._recorder.events + AFTER_EVENTS
            self._steps = self._recorder.steps

    def after_event(self) -> None:
        """Kill, if it is time."""
        if self._kill_at is None:
            return
        # a body may hold steps of several optimizers: what follows them belongs to the next
        after_step = self._recorder.steps > self._steps and self._recorder.kind != "S"
        if after_step or self._recorder.events >= self._kill_at:
            kill_all(SIGKILL)

    def ends(self) -> None:
        """The script has come to its end before enough has happened: kill there."""
        if self._kill_at is not None:
            kill_all(SIGKILL)

    def _await_durable(self, step: int) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with open(self._recorder.plan["events"], encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        event = json.loads(line)
                        if event["event"] == "checkpoint_saved" and event["step"] >= step:
                            return
            time.sleep(0.01)


class Blow:
    """The end of this session at an exact place, wherever safe points are: right after an event, or a call of eval().

    Args:
        recorder: counts the events.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._order = recorder.plan["blow"]
        self._evals = 0
        self._asked = threading.Event()
        recorder.after_event.append(self._after_event)
        recorder.after_eval.append(self._after_eval)

    def stop_came(self) -> None:
        """The supervisor has asked for the end."""
        self._asked.set()

    def _after_event(self) -> None:
        if self._order is not None and self._order["evals"] == 0 and self._recorder.events >= self._order["event"]:
            self._strike()

    def _after_eval(self) -> None:
        if self._order is not None and self._recorder.events >= self._order["event"]:
            self._evals += 1
            if self._evals == self._order["evals"]:
                self._strike()

    def _strike(self) -> None:
        number, target = self._order["signal"], self._order["target"]
        self._order = None
        if target == "all":
            kill_all(number)
        os.kill(os.getpid() if target == "trainer" else os.getppid(), number)
        self._asked.wait(_PATIENCE_S)  # so that a tiny script can't outrun the notice


def hook_engine(recorder: Recorder, engine_module: Any) -> None:
    """Note restores and checkpoints, and let the strike decide about the latter."""
    from survivor.training.link import Link

    EngineHooks(recorder).install(engine_module.Engine, Link)


class EngineHooks:
    """What is done around the methods of the engine, and around the handing over of a snapshot.

    Each hook gets the method that it stands for, and the method's arguments.

    Args:
        recorder: gets the notes.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._strike = Strike(recorder) if recorder.plan["controls"] else None
        self._blow = Blow(recorder) if recorder.plan["blow"] else None
        self._heads: list[Any] = []  # of the loops whose head is being passed, innermost last

    def install(self, engine: Any, link: Any) -> None:
        """Put the hooks in place."""
        for name in ("begin", "head", "request_stop", "finish"):
            _around(engine, name, getattr(self, name))
        _around(link, "save", self.save)
        if self._strike is not None:
            _around(engine, "due", self.due)

    def begin(self, original: Any, engine: Any, checkpoint: Any) -> None:
        """The script is about to be run, from its beginning or to a checkpoint."""
        _reseed(self._recorder)
        if self._recorder.plan["fence"]:
            engine.files.keep_inside(self._recorder.plan["fence"])
        self._recorder.muted = checkpoint is not None
        original(engine, checkpoint)
        if checkpoint is not None and engine.replay is None:
            _come_back(self._recorder, engine.step, None)  # the start of the job: nothing is restored but the seeds

    def head(self, original: Any, engine: Any, record: Any) -> None:
        """A loop's head: where a replay may end, or a checkpoint be made."""
        if engine.replay is not None:
            original(engine, record)
            if engine.replay is None:
                _come_back(self._recorder, engine.step, record.frame)
            return
        self._heads.append(record)
        try:
            if self._strike is not None and not engine.hooks.off and (record.site.trains or record.site.hinted):
                self._strike.before_head()
            original(engine, record)
        finally:
            self._heads.pop()

    def save(self, original: Any, link: Any, snapshot: Any, **options: Any) -> None:
        """A snapshot is handed over: at a head, or else at the start of the job or its end."""
        _announce(self._recorder, snapshot.step if self._heads else 0)
        original(link, snapshot, **options)
        if not self._heads or not self._recorder.is_marked():
            return
        final = options.get("final", False)
        where = {"step": snapshot.step, "position": snapshot.position, "out": _printed(), "final": final}
        self._recorder.mark("C", self._heads[-1].frame, self._recorder.plan["dump_checkpoint"], **where)
        if self._strike is not None:
            self._strike.saved(snapshot.step)

    def request_stop(self, original: Any, engine: Any, reason: str) -> None:
        """The supervisor's wish has come."""
        original(engine, reason)
        for each in (self._strike, self._blow):
            if each is not None:
                each.stop_came()

    def finish(self, original: Any, engine: Any) -> None:
        """The script has come to its end."""
        if self._strike is not None:
            self._strike.ends()
        original(engine)

    def due(self, _original: Any, engine: Any, _site: Any, _now: float) -> bool:
        """Whether a checkpoint is made at this head: the strike decides, and no clock."""
        return bool(engine.stopping or (self._strike is not None and self._strike.wants_checkpoint()))


def _around(owner: Any, name: str, hook: Any) -> None:
    original = getattr(owner, name)

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return hook(original, self, *args, **options)

    setattr(owner, name, method)


def _announce(recorder: Recorder, step: int) -> None:
    """Note a checkpoint's place before it is there: a process that is killed at once leaves one that is known."""
    if step and not recorder.plan["live"]:
        recorder.write({"k": "A", "i": recorder.events, "n": recorder.steps, "step": step})


def _come_back(recorder: Recorder, step: int, frame: Any) -> None:
    """The state is back: from here on this process repeats nothing."""
    place = recorder.plan["places"].get(str(step))
    recorder.muted = False
    if recorder.plan["live"]:
        return  # its own events only are counted
    if place is None:
        recorder.write({"k": "?", "step": step})
        return
    recorder.events, recorder.steps = place
    if frame is not None:
        recorder.mark("R", frame, recorder.plan["dump_checkpoint"], step=step)
    for call in recorder.plan.get("at_restore", ()):
        call()


def _reseed(recorder: Recorder) -> None:
    """Random streams as a plain process has them at the script's first line."""
    import random

    import numpy as np
    import torch

    seed = recorder.plan["seed"]
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def _printed() -> int:
    """Bytes that the script has printed so far."""
    sys.stdout.flush()
    return os.fstat(1).st_size
