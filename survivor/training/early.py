"""Environment variables that must be set before torch and NumPy are loaded, found in the script's source.

survivor loads torch before the script's first line. A script that sets ``OMP_NUM_THREADS`` above its own
``import torch`` would be too late, would compute with other thread counts than under ``python``, and
so sum in another order. What its top level sets to a constant before the first import of torch or NumPy is
therefore set ahead of it; the script sets it again, to the same.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

#: Read once, when a library is loaded.
_EARLY = ("OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "KMP_", "GOMP_", "VECLIB_", "ATEN_", "TORCH_", "CUBLAS_", "CUDA_")
_LIBRARIES = frozenset({"torch", "numpy", "torchvision", "pandas", "sklearn", "scipy"})


def set_environment(source: bytes) -> None:
    """Set what a script's top level sets before it imports torch or NumPy; anything unclear is left to the script."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # shown when the script is compiled
    for statement in tree.body:
        if _imports_library(statement):
            return
        for name, value, only_if_missing in _settings(statement):
            if name.startswith(_EARLY) and not (only_if_missing and name in os.environ):
                os.environ[name] = value


def _imports_library(statement: ast.stmt) -> bool:
    names = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return any(name.partition(".")[0] in _LIBRARIES for name in names)


def _settings(statement: ast.stmt) -> Iterator[tuple[str, str, bool]]:
    """Name, value, and whether it is a default only, of ``os.environ[…] = …`` and ``os.environ.setdefault(…)``."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Subscript) and ast.unparse(target.value) in ("os.environ", "environ"):
            yield from _constants(target.slice, statement.value, False)
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if ast.unparse(call.func) in ("os.environ.setdefault", "environ.setdefault") and len(call.args) == 2:
            yield from _constants(call.args[0], call.args[1], True)


def _constants(name: ast.expr, value: ast.expr, only_if_missing: bool) -> Iterator[tuple[str, str, bool]]:
    found = [part.value for part in (name, value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if len(found) == 2:
        yield found[0], found[1], only_if_missing
