"""Instrumenting the user's modules: the main script, and what it imports from its own folder."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from survivor.training.rewrite import rewrite, training_functions

if TYPE_CHECKING:
    from survivor.training.engine import Engine


def compile_module(engine: Engine, source: bytes | str, filename: str, module_name: str) -> types.CodeType:
    """Compile a user's module with its loops instrumented; a source that can't be rewritten is compiled as it is."""
    tree = ast.parse(source, filename)
    first = len(engine.sites)
    training = training_functions([tree, *_siblings(engine, Path(filename), tree)])
    code = compile(rewrite(tree, module_name, filename, engine.sites, training), filename, "exec", dont_inherit=True)
    for site in engine.sites[first:]:
        engine.scope.sites_by_code.setdefault(site.function, []).append(site)
    engine.scope.files.add(filename)
    engine.scope.codes[module_name] = code
    if module_name == "__main__" and module_name in sys.modules:
        engine.scope.modules[module_name] = sys.modules[module_name]
    return code


def _siblings(engine: Engine, filename: Path, tree: ast.Module) -> list[ast.Module]:
    """The user's modules that a module imports, parsed for the names of their training functions."""
    found: list[ast.Module] = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module or ''}.{alias.name}".lstrip(".") for alias in node.names)]
        for name in filter(None, names):
            base = engine.scope.root.joinpath(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py", filename.parent / f"{name}.py"):
                if path.is_file() and engine.scope.owns_file(str(path)):
                    try:
                        found.append(ast.parse(path.read_bytes()))
                    except (SyntaxError, ValueError):
                        continue
                    break
    return found


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles through the engine and keeps no bytecode cache of it."""

    engine: Engine

    def get_code(self, fullname: str) -> types.CodeType | None:
        path = self.get_filename(fullname)
        return compile_module(self.engine, self.get_data(path), path, fullname)

    def exec_module(self, module: types.ModuleType) -> None:
        self.engine.scope.modules[module.__name__] = module
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules as Python does, and takes over those of the user."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not importlib.machinery.SourceFileLoader:
            return None
        if not self._engine.scope.owns_file(spec.origin):
            return None
        loader = _Loader(fullname, spec.origin)
        loader.engine = self._engine
        spec.loader = loader
        return spec


def install(engine: Engine) -> None:
    """Take over the import of the user's modules in this process."""
    sys.meta_path.insert(0, _Finder(engine))
