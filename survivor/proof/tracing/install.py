"""Puts the tracer's hooks in place: into torch when it is imported, into survivor's engine when that is."""

from __future__ import annotations

import atexit
import os
import random
import sys
from typing import Any

_state: dict[str, Any] = {}


def install_torch(plan: dict[str, Any], torch: Any) -> None:
    """Hook torch's own entry points; neither scripts nor survivor see anything of it."""
    from survivor.proof.tracing.lines import LineWatch
    from survivor.proof.tracing.record import Recorder

    _hide(plan)
    recorder = _state["recorder"] = Recorder(plan)
    _seed(plan)
    if plan["lines"] is not None:
        LineWatch(recorder).install()
    if plan["read_only"]:
        _hook_save(torch)
    _hook_autograd(recorder, torch)
    _hook_steps(recorder)
    _hook_loaders(recorder)
    if plan["evals"]:
        _hook_eval(recorder, torch)
    atexit.register(recorder.end)


def install_engine(plan: dict[str, Any], engine: Any) -> None:
    """Hook the engine of a process that trains under survivor."""
    from survivor.proof.tracing.strike import hook_engine

    hook_engine(_state["recorder"], engine)


def _hide(plan: dict[str, Any]) -> None:
    """The script's environment is the user's: what the proof has added is taken out again."""
    del os.environ["SURVIVOR_PROOF_PLAN"]
    kept = [p for p in os.environ["PYTHONPATH"].split(os.pathsep) if p != plan["preload"]]
    if kept:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        del os.environ["PYTHONPATH"]


def _seed(plan: dict[str, Any]) -> None:
    import numpy as np
    import torch

    if plan["seed"] is not None:
        random.seed(plan["seed"])
        np.random.seed(plan["seed"])
        torch.manual_seed(plan["seed"])


def _hook_autograd(recorder: Any, torch: Any) -> None:
    for name, kind in (("backward", "B"), ("grad", "G")):
        original = getattr(torch.autograd, name)

        def traced(*args: Any, _original: Any = original, _kind: str = kind, **kwargs: Any) -> Any:
            if torch._guards.TracingContext.try_get() is not None:  # torch.compile at work, on tensors without values
                return _original(*args, **kwargs)
            outputs = args[0] if args else kwargs.get("tensors", kwargs.get("outputs"))
            loss, shown = _digest_of(recorder, outputs)
            result = _original(*args, **kwargs)
            recorder.event(_kind, loss, sys._getframe(1), shown)
            return result

        traced.__wrapped__ = original  # type: ignore[attr-defined]
        traced.__name__, traced.__doc__ = original.__name__, original.__doc__
        setattr(torch.autograd, name, traced)


def _hook_save(torch: Any) -> None:
    """``torch.save`` opens its file in C: what minds the opening of files is told."""
    original = torch.save

    def traced_save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(f, (str, os.PathLike)):
            sys.audit("open", os.fspath(f), "wb", 0)
        original(obj, f, *args, **kwargs)

    traced_save.__wrapped__ = original  # type: ignore[attr-defined]
    torch.save = traced_save


def _digest_of(recorder: Any, outputs: Any) -> tuple[str, Any]:
    from survivor.proof.tracing.digest import joined

    tensors = [outputs] if not isinstance(outputs, (list, tuple)) else list(outputs)
    recorder.digests.forget()
    try:
        digest = joined([recorder.digests.tensor(t) if hasattr(t, "dtype") else repr(t) for t in tensors])
        first: Any = tensors[0] if tensors else None
        shown = repr(first.detach().item()) if hasattr(first, "numel") and first.numel() == 1 else None
    except RuntimeError:  # a tensor of a transform (torch.func) has no bits of its own
        return joined([type(t).__qualname__ for t in tensors]), None
    return digest, shown


def _hook_steps(recorder: Any) -> None:
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from survivor.proof.tracing.digest import joined

    def stepped(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if not recorder.is_ours:
            return
        recorder.digests.forget()
        found = []
        for group in optimizer.param_groups:
            settings = recorder.digests.plain(sorted((k, repr(v)) for k, v in group.items() if k != "params"))
            for parameter in group["params"]:
                state = optimizer.state.get(parameter, {})
                parts = [settings, recorder.digests.tensor(parameter)]
                for name, item in sorted((str(k), v) for k, v in state.items()):
                    digest = recorder.digests.tensor if hasattr(item, "layout") else recorder.digests.plain
                    parts.append(f"{name}={digest(item)}")
                found.append(joined(parts))
        # sorted: a set of parameters has another order in each process
        recorder.event("S", joined([type(optimizer).__name__, *sorted(found)]), sys._getframe(1))

    register_optimizer_step_post_hook(stepped)


def _hook_eval(recorder: Any, torch: Any) -> None:
    original = torch.nn.Module.eval

    def traced_eval(self: Any) -> Any:
        result = original(self)
        recorder.evaluated()
        return result

    traced_eval.__wrapped__ = original  # type: ignore[attr-defined]
    torch.nn.Module.eval = traced_eval


def _hook_loaders(recorder: Any) -> None:
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    original = _BaseDataLoaderIter.__next__

    def traced_next(self: Any) -> Any:
        item = original(self)
        if recorder.is_ours:
            recorder.data(item, first=self._num_yielded == 1)
        return item

    traced_next.__wrapped__ = original  # type: ignore[attr-defined]
    _BaseDataLoaderIter.__next__ = traced_next  # type: ignore[method-assign]
