"""Instrumenting the user's modules: the main script, and what it imports from its own folder."""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.machinery
import inspect
import linecache
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survivor.training.hints import training_functions
from survivor.training.rewrite import HOOK, rewrite
from survivor.training.sites import Site

if TYPE_CHECKING:
    from survivor.training.engine import Engine


def compile_module(engine: Engine, source: bytes | str, filename: str, module_name: str) -> types.CodeType:
    """Compile a user's module with its loops instrumented; a source that can't be rewritten is compiled as it is."""
    tree = ast.parse(source, filename)
    engine.scope.foreign.note(tree)
    first = len(engine.sites)
    training = training_functions([tree, *_siblings(engine, Path(filename), tree)])
    rewriter = rewrite(tree, module_name, filename, engine.sites, training)
    code = compile(tree, filename, "exec", dont_inherit=True)
    for function, lines in rewriter.guards:
        engine.scope.guards_by_code.setdefault(function, []).append(lines)
    for site in engine.sites[first:]:
        engine.scope.sites_by_code.setdefault(site.function, []).append(site)
    engine.scope.files.add(filename)
    engine.scope.add_codes(module_name, code)
    if module_name == "__main__" and module_name in sys.modules:
        engine.scope.modules[module_name] = sys.modules[module_name]
        setattr(sys.modules[module_name], HOOK, engine.hooks)
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
        # a global of each module, and not only a builtin: torch.compile knows all builtins, and refuses others
        setattr(module, HOOK, self.engine.hooks)
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


# --- functions and loops outside of rewritten modules -------------------------------------------------


class _Namespace:
    """Stands for the module of functions that came without one: its ``__dict__`` is their globals."""


def instrument_function(engine: Engine, function: Any) -> Any:
    """Give a function, and the user's functions in its globals, the instrumented code of their file."""
    target = inspect.unwrap(getattr(function, "__func__", function))
    if isinstance(target, functools.partial):
        instrument_function(engine, target.func)
        return function
    if not isinstance(target, types.FunctionType) or target.__code__.co_filename in engine.scope.files:
        return function
    space = _Namespace()
    space.__dict__ = target.__globals__
    setattr(space, HOOK, engine.hooks)
    name = str(target.__globals__.get("__name__", target.__module__))
    engine.scope.modules[name] = space  # type: ignore[assignment]
    codes: dict[str, dict[tuple[str, int], types.CodeType]] = {}
    modules: list[types.CodeType] = []
    for found in [target, *_functions_in(target.__globals__)]:
        filename = found.__code__.co_filename
        if filename not in codes:
            codes[filename] = _instrumented_codes(engine, filename, name)
            modules += [engine.scope.codes[name]] if codes[filename] else []
        code = codes[filename].get((found.__code__.co_name, found.__code__.co_firstlineno))
        if code is not None and code.co_freevars == found.__code__.co_freevars:
            found.__code__ = code
    if len(modules) > 1:  # a notebook's cells: one module in many files
        consts = tuple(const for module in modules for const in module.co_consts)
        engine.scope.codes[name] = modules[0].replace(co_consts=consts)
    return function


def _instrumented_codes(engine: Engine, filename: str, name: str) -> dict[tuple[str, int], types.CodeType]:
    source = "".join(linecache.getlines(filename))
    if not source or "site-packages" in filename:
        return {}
    found: dict[tuple[str, int], types.CodeType] = {}
    waiting = [compile_module(engine, source, filename, name)]
    while waiting:
        code = waiting.pop()
        found[code.co_name, code.co_firstlineno] = code
        waiting.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
    return found


def _functions_in(namespace: dict[str, Any]) -> Iterator[types.FunctionType]:
    for value in list(namespace.values()):
        if isinstance(value, types.FunctionType):
            inner = inspect.unwrap(value)
            if isinstance(inner, types.FunctionType):
                yield inner
        elif isinstance(value, type):
            for member in vars(value).values():
                function = getattr(member, "__func__", member)
                if isinstance(function, types.FunctionType):
                    yield function


def explicit_site(engine: Engine, frame: types.FrameType) -> int:
    """The number of the site of a ``survivor.loop`` call in code that was not rewritten."""
    code = frame.f_code
    module = frame.f_globals.get("__name__", "?")
    key = f"{module}:{getattr(code, 'co_qualname', code.co_name)}:line {frame.f_lineno}"
    for number, site in enumerate(engine.sites):
        if site.key == key:
            return number
    line = 0 if code.co_name == "<module>" else code.co_firstlineno
    engine.scope.files.add(code.co_filename)
    engine.sites.append(
        Site(
            key=key,
            filename=code.co_filename,
            first_line=frame.f_lineno,
            last_line=frame.f_lineno,
            function=(code.co_filename, line, code.co_name),
            label="item",
            kind="for",
            hinted=True,
            in_generator=bool(code.co_flags & inspect.CO_GENERATOR),
        )
    )
    return len(engine.sites) - 1
