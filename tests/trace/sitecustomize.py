"""Watches a training process from outside, and ends it where a test wants it ended.

Found through ``PYTHONPATH`` by every process of a run; does nothing but in one that trains, and nothing at
all before torch is imported, since survivor's parent process never does that.

TWIN_TRACE  file that gets a line per event: ``B`` and a digest of the loss at each backward pass; ``S`` and a
            digest of all parameters, hyperparameters and state at each step of an optimizer; ``E`` at each
            ``module.eval()`` of the outermost module; ``R`` and a digest of the RNG states at the end.
TWIN_KILL   JSON: after the line ``after`` (or from the start, when it is empty) and ``evals`` further calls of
            ``eval()``, send ``signal`` to ``target``: "trainer" (this process), "supervisor" (its parent), "all"
            (both, with everything they have started).
TWIN_SEED   seeds random, NumPy and torch before the script does anything, so that an unseeded script differs
            from one process to the next in a way that a test chooses.
"""

import atexit
import hashlib
import importlib.util
import json
import os
import random
import struct
import sys
import time

#: After a polite signal each event takes this long, so that a tiny script can't outrun the notice.
HELD_BACK_S = 0.1


class Watch:
    """What this process has done so far."""

    def __init__(self, torch, numpy):
        self.torch, self.numpy = torch, numpy
        self.pid = os.getpid()
        self.file = os.open(os.environ["TWIN_TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.kill = json.loads(os.environ.get("TWIN_KILL") or "null")
        self.armed = self.kill is not None and not self.kill["after"]
        self.evals = 0
        self.holding_back = False

    # --- events ---------------------------------------------------------------------------------

    def event(self, kind, parts):
        if os.getpid() != self.pid:
            return
        hasher = hashlib.sha1()
        for part in parts:
            hasher.update(part)
        line = f"{kind} {hasher.hexdigest()[:16]}"
        os.write(self.file, f"{line}\n".encode())
        if self.holding_back:
            time.sleep(HELD_BACK_S)
        if self.kill is None:
            return
        if line == self.kill["after"]:
            self.armed, self.evals = True, 0
        if kind == "E" and self.armed:
            self.evals += 1
        if self.armed and kind in "SBE" and self.evals == self.kill["evals"]:
            self.strike()

    def strike(self):
        number, target = self.kill["signal"], self.kill["target"]
        self.kill = None
        self.holding_back = True
        if target in ("supervisor", "all"):
            os.kill(os.getppid(), number)
        if target == "trainer":
            os.kill(os.getpid(), number)
        elif target == "all":
            os.killpg(os.getpgrp(), number)

    def end(self):
        if os.getpid() == self.pid:
            state = self.numpy.random.get_state()
            torch_state = self.torch.get_rng_state().numpy().tobytes()
            self.event("R", [torch_state, repr(random.getstate()).encode(), repr(state).encode()])

    # --- digests --------------------------------------------------------------------------------

    def bits(self, value):
        """Bytes that differ when the value does; the order of dicts and sets does not count."""
        if isinstance(value, self.torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            data = flat.view(self.torch.uint8).numpy().tobytes() if flat.numel() else b""
            return f"{value.dtype}{tuple(value.shape)}".encode() + data
        if isinstance(value, dict):
            return b"{" + b",".join(sorted(self.bits(k) + b":" + self.bits(v) for k, v in value.items()))
        if isinstance(value, (list, tuple)):
            return b"[" + b",".join(self.bits(item) for item in value)
        if isinstance(value, float):
            return struct.pack("<d", value)
        if isinstance(value, (int, str, bool, type(None))):
            return repr(value).encode()
        return type(value).__qualname__.encode()

    def optimizer(self, optimizer):
        """One digest a parameter, sorted: a set of parameters has another order in each process."""
        found = []
        for group in optimizer.param_groups:
            settings = self.bits({k: v for k, v in group.items() if k != "params"})
            for parameter in group["params"]:
                state = self.bits(optimizer.state.get(parameter, {}))
                found.append(hashlib.sha1(settings + self.bits(parameter) + state).digest())
        return sorted(found)


def install(torch):
    """Hook torch's own entry points; scripts and survivor see nothing of it."""
    import numpy

    seed = int(os.environ.get("TWIN_SEED") or 0)
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    watch = Watch(torch, numpy)
    backward, evaluate = torch.Tensor.backward, torch.nn.Module.eval

    def traced_backward(self, *args, **kwargs):
        loss = watch.bits(self)
        result = backward(self, *args, **kwargs)
        watch.event("B", [loss])
        return result

    def traced_eval(self):
        result = evaluate(self)
        watch.event("E", [])
        return result

    torch.Tensor.backward, torch.nn.Module.eval = traced_backward, traced_eval
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(lambda optimizer, *_: watch.event("S", watch.optimizer(optimizer)))
    atexit.register(watch.end)


class Finder:
    """Calls `install` when torch has been imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            install(module)

        loader.exec_module = exec_module
        return spec


def is_helper():
    """Whether this process is a loader worker, a resource tracker or a compiler of torch's."""
    words = " ".join(sys.orig_argv[1:])
    return "multiprocessing" in words or "compile_worker" in words


if os.environ.get("TWIN_TRACE") and not is_helper():
    sys.meta_path.insert(0, Finder())
