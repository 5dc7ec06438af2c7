"""The user's program as ``__main__``: everything it can see is as ``python`` would have made it.

``runpy`` is not used. It runs code that it compiles itself, where ours comes from the engine, and
its frames would stand above the user's in every traceback.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from survivor.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Program:
    """Source of the program and what its ``__main__`` module says about itself.

    Attributes:
        source: bytes of the source file.
        filename: as it stands in tracebacks.
        argv0: ``sys.argv[0]``.
        loader: for ``__loader__``.
        spec: for ``__spec__``; None for a script.
    """

    source: bytes
    filename: str
    argv0: str
    loader: object
    spec: ModuleSpec | None = None


def absolute_as_python_does(path: str) -> str:
    """``__file__`` of a script: the working folder before it, nothing else tidied up."""
    if os.path.isabs(path):
        return path
    return os.path.join(os.getcwd(), path)


def user_root(script: str) -> Path:
    """The folder whose modules are the user's own: the script's, or for ``""`` the working folder."""
    return Path(os.path.realpath(script)).parent if script else Path(os.getcwd())


def set_path(root: Path) -> None:
    """Put ``root`` first in ``sys.path``, unless ``python`` was told not to do such things."""
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path.insert(0, str(root))


def find_script(path: str) -> Program:
    """The program of ``python path``.

    Raises:
        UsageError: there is no such file.
    """
    filename = absolute_as_python_does(path)
    try:
        source = Path(filename).read_bytes()
    except OSError as error:
        raise UsageError(
            f"can't open {filename!r}: {error.strerror}", advice="check the path of the script"
        ) from error
    loader = SourceFileLoader("__main__", filename)
    return Program(source=source, filename=filename, argv0=path, loader=loader)


def of_function(main_file: str) -> Program:
    """The ``__main__`` of a process that runs a caller's function.

    It names the caller's script, so that a spawned worker imports that and finds the classes in it.
    """
    return Program(source=b"", filename=main_file, argv0=main_file, loader=None)


def find_module(name: str) -> Program:
    """The program of ``python -m name``; imports the packages above it, as ``python`` does.

    Raises:
        UsageError: there is no such module, or it has no source.
    """
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
        raise UsageError(
            f"no module named {name!r} that has a source file can be run from {os.getcwd()}",
            advice="check the name, and that the command is given in the folder above the package",
        )
    source = spec.loader.get_data(spec.origin)
    return Program(source=source, filename=spec.origin, argv0=spec.origin, loader=spec.loader, spec=spec)


def make_main(program: Program) -> ModuleType:
    """A fresh ``__main__`` in ``sys.modules``, with the attributes that ``python`` gives it."""
    main = ModuleType("__main__")
    namespace = main.__dict__
    namespace.update(
        __builtins__=builtins,
        __loader__=program.loader,
        __package__=program.spec.parent if program.spec else None,
        __spec__=program.spec,
    )
    if program.filename:
        namespace["__file__"] = program.filename
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
        namespace["__cached__"] = program.spec.cached if program.spec else None
    sys.modules["__main__"] = main
    return main
