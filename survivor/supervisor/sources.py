"""The user's own source files: what a script imports from its folder, found without running anything.

Imports are followed by name through the parsed source. A module that is imported by a computed name is not
found; ``survivor resume`` then meets Python's own ``ModuleNotFoundError``.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from survivor.supervisor.options import RunOptions

_MOST_FILES = 500
_MOST_BYTES = 5_000_000


def root_of(options: RunOptions) -> Path:
    """The folder whose modules are the user's own: the script's, or for a module the working folder."""
    if options.root:
        return Path(options.root)
    return Path(options.target).resolve().parent if options.kind == "script" else Path.cwd()


def read_source(options: RunOptions) -> str:
    """The text of the program where it can be found without importing anything; "" otherwise."""
    path = main_file(options)
    return path.read_text(encoding="utf-8", errors="replace") if path else ""


def main_file(options: RunOptions) -> Path | None:
    """The file that is run as ``__main__``."""
    if options.kind == "script":
        return Path(options.target)
    if options.kind == "function":
        return None
    base = root_of(options).joinpath(*options.target.split("."))
    return next((path for path in (base / "__main__.py", base.with_suffix(".py")) if path.is_file()), None)


def modules_of(options: RunOptions) -> dict[str, str]:
    """The text of each of the user's modules that the program imports, by path relative to its folder."""
    main = main_file(options)
    if main is None or not main.is_file():
        return {}
    root = root_of(options)
    found: dict[str, str] = {}
    waiting = [main.resolve()]
    size = 0
    while waiting and len(found) < _MOST_FILES and size < _MOST_BYTES:
        path = waiting.pop()
        text = path.read_text(encoding="utf-8", errors="replace")
        size += len(text)
        if path != main.resolve() or options.kind == "module":
            found[str(path.relative_to(root.resolve()))] = text
        for other in _files_imported(text, path, root.resolve()):
            if str(other.relative_to(root.resolve())) not in found and other not in (*waiting, main.resolve()):
                waiting.append(other)
    return dict(sorted(found.items()))


def missing_packages(sources: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Top-level names that the sources import and that this machine lacks.

    Imports inside a ``try`` are left out: the program has thought of their absence.

    Args:
        sources: texts.
        modules: paths of the user's own modules, which are not missing.
    """
    own = {Path(module).parts[0].removesuffix(".py") for module in modules}
    names = {name.partition(".")[0] for text in sources for name in _needed(text)}
    return sorted(name for name in names - own - set(sys.stdlib_module_names) if not _is_there(name))


def _is_there(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _needed(text: str) -> Iterator[str]:
    waiting: list[ast.AST] = [_parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module:
                yield node.module
        elif not isinstance(node, ast.Try):
            waiting.extend(ast.iter_child_nodes(node))


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])  # python itself will show what is wrong


def _files_imported(text: str, path: Path, root: Path) -> Iterator[Path]:
    """The files under ``root`` that a module names in its imports, the packages above them included."""
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = root
            if node.level:
                base = path.parents[node.level - 1]
            parts = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _files_of(base, [*parts, alias.name], below=root)


def _files_of(base: Path, parts: list[str], below: Path | None = None) -> Iterator[Path]:
    below = below or base
    for end in range(len(parts) + 1):
        place = base.joinpath(*parts[:end])
        if end == 0 and place == below:
            continue
        for path in (place.with_suffix(".py") if end else place / "__init__.py", place / "__init__.py"):
            if path.is_file() and below in path.resolve().parents:
                yield path.resolve()
                break
