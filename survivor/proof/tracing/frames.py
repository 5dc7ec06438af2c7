"""The script's own frames, modules and variables: the roots that its state is reached from."""

from __future__ import annotations

import os
import re
import sys
import types
from dataclasses import dataclass
from typing import Any

from survivor.training.frames import read
from survivor.training.liveness import dead_names, live_variables

_MACHINERY = re.compile(r"__\w+__$|___|__(builtins_dict|compiled_fn|resume_at|import_)")
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


@dataclass(frozen=True)
class Root:
    """One variable.

    Attributes:
        key: where it is and its name, ``"Trainer.fit|loss"``; unique among the roots of a moment.
        name: as the user writes it.
        value: what it holds.
    """

    key: str
    name: str
    value: Any


class Script:
    """Which files are the script's.

    Args:
        roots: folders whose files are, but for installed packages.
    """

    def __init__(self, roots: list[str]) -> None:
        self._roots = tuple(os.path.realpath(root) + os.sep for root in roots)
        self._known: dict[str, bool] = {}
        self._codes: dict[str, types.CodeType | None] = {}
        self._count = -1  # of all modules, when the script's were last looked for: that takes a while
        self._modules: dict[str, types.ModuleType] = {}

    def owns(self, filename: str) -> bool:
        """Whether a source file is the script's."""
        known = self._known.get(filename)
        if known is None:
            if "site-packages" in filename or filename.startswith(_LIBRARY):  # nearly all there are
                self._known[filename] = False
                return False
            path = os.path.realpath(filename)
            known = path.startswith(self._roots) and not path.startswith(_OURS)
            known = known and "site-packages" not in path and "dist-packages" not in path
            self._known[filename] = known = known and not filename.startswith("<")
        return known

    def stack(self, frame: types.FrameType | None) -> list[types.FrameType]:
        """The script's frames from the outermost to ``frame``."""
        found = []
        while frame is not None:
            if self.owns(frame.f_code.co_filename):
                found.append(frame)
            frame = frame.f_back
        return found[::-1]

    def modules(self) -> dict[str, types.ModuleType]:
        """The script's modules, by name."""
        if self._count == len(sys.modules):
            return self._modules
        found = {}
        seen = set()
        for name, module in sorted(sys.modules.items()):  # multiprocessing calls __main__ __mp_main__ as well
            if not isinstance(module, types.ModuleType) or id(module) in seen:
                continue
            filename = vars(module).get("__file__")
            if isinstance(filename, str) and os.path.isabs(filename) and self.owns(filename):
                seen.add(id(module))
                found[name] = module
        self._count, self._modules = len(sys.modules), found
        return found

    def roots(self, frame: types.FrameType | None) -> list[Root]:
        """The variables that may be read again, of all the frames down to ``frame`` and of the modules."""
        stack = self.stack(frame)
        found = []
        modules = self.modules()
        main = next((f for f in stack if f.f_code.co_name == "<module>"), None)
        for name in sorted(modules):
            module = modules[name]
            running = main if main is not None and main.f_globals is module.__dict__ else None
            found += self._of_module(name, module, running, modules)
        seen: dict[str, int] = {}
        for each in stack:
            if each.f_code.co_name == "<module>":
                continue
            function = getattr(each.f_code, "co_qualname", each.f_code.co_name)
            seen[function] = seen.get(function, 0) + 1
            place = function if seen[function] == 1 else f"{function}#{seen[function]}"
            variables = read(each)
            live = live_variables(each.f_code, each.f_lasti)
            found += [Root(f"{place}|{n}", n, variables[n]) for n in sorted(variables) if n in live]
        return found

    def _of_module(
        self, name: str, module: types.ModuleType, frame: types.FrameType | None, modules: dict[str, Any]
    ) -> list[Root]:
        variables = {n: v for n, v in vars(module).items() if not _MACHINERY.match(n)}
        if frame is not None:
            others = [code for other in modules if other != name and (code := self._code_of(other)) is not None]
            dead = dead_names(frame.f_code, frame.f_lasti, others)
            variables = {n: v for n, v in variables.items() if n not in dead}
        prefix = "" if name == "__main__" else f"{name}."
        return [
            Root(f"{name}|{n}", prefix + n, variables[n])
            for n in sorted(variables)
            if not isinstance(variables[n], types.ModuleType)
        ]

    def _code_of(self, name: str) -> types.CodeType | None:
        if name not in self._codes:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            try:
                self._codes[name] = spec.loader.get_code(name) if spec is not None else None
            except Exception:  # a module without code of its own: nothing is known to read from it
                self._codes[name] = None
        return self._codes[name]
