"""Loads the tracer into a process that a proof has started, and then the ``sitecustomize`` that stands behind this one.

Nothing is imported from survivor before torch is: a script may set what torch reads when it is loaded.
"""

import importlib.machinery
import importlib.util
import json
import os
import random
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


def _next_one() -> None:
    """Run the ``sitecustomize`` that Python would have found without this folder."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


class _Finder:
    """Calls the tracer's ``install`` when torch, or survivor's engine, has been imported."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.waiting = {"torch": "install_torch", "survivor.training.engine": "install_engine"}

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Import as usual, and call the tracer when the module stands."""
        function = self.waiting.pop(name, None)
        if function is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if os.getpid() == self.plan["pid"]:
                _call(function, self.plan, module)

        setattr(spec.loader, "exec_module", exec_module)  # noqa: B010 - mypy forbids to assign a method
        return spec


def _call(function: str, plan: dict[str, Any], module: ModuleType) -> None:
    home = plan["survivor"]
    sys.path.insert(0, home)
    try:
        from survivor.proof.tracing import install
    finally:
        sys.path.remove(home)
    getattr(install, function)(plan, module)


def _keep_from_writing(places: list[str]) -> None:
    """What a run has no copy of is the user's own: this process, and its forks, may only read it."""
    writing = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND | os.O_CREAT

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool(flags and flags & writing)
        elif event in ("os.truncate", "sqlite3.connect"):
            path, writes = args[0], True
        else:
            return
        if not writes or isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        if any(real == place or real.startswith(place + os.sep) for place in places):
            raise PermissionError(f"survivor verify: {path!r} is your own file, too large to be copied for each run: "
                                  "have the script write elsewhere, or run it from a folder without it")

    sys.addaudithook(hook)


def _is_helper() -> bool:
    """Whether this process is a loader worker, a resource tracker or a compiler of torch's."""
    words = " ".join(sys.orig_argv[1:])
    return "multiprocessing" in words or "compile_worker" in words


if os.environ.get("SURVIVOR_PROOF_PLAN") and not _is_helper():
    with open(os.environ["SURVIVOR_PROOF_PLAN"], encoding="utf-8") as _file:
        _plan = json.load(_file)
    _plan["pid"] = os.getpid()
    if _plan["read_only"]:
        _keep_from_writing(_plan["read_only"])
    if _plan["seed"] is not None:
        random.seed(_plan["seed"])
    sys.meta_path.insert(0, _Finder(_plan))
_next_one()
