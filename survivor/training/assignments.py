"""Where in the user's source an object got its name: for messages."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache

from survivor.training.sites import Site

_NAME = re.compile(r"(?:^|\.)([A-Za-z_]\w*)")


def made_at(path: str, files: Iterable[str], site: Site | None = None) -> str:
    """``train.py:12`` for a path such as ``trainer.env``: the first assignment to its last name; "" if none is found.

    Of ``<iterator>`` it is the line of the loop that goes over it.
    """
    if path.startswith("<iterator>"):
        return f"{os.path.basename(site.filename)}:{site.first_line}" if site is not None else ""
    names = _NAME.findall(re.sub(r"\[[^\]]*\]", "", path))
    for position in range(len(names) - 1, -1, -1):
        for filename in sorted(files):
            for name, is_attribute, line in _targets(filename):
                if name == names[position] and is_attribute == (position > 0):
                    return f"{os.path.basename(filename)}:{line}"
    return ""


@cache
def _targets(filename: str) -> tuple[tuple[str, bool, int], ...]:
    """Names and attributes that a file assigns to, in the order of its lines."""
    try:
        with open(filename, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(sorted(set(_stores(tree)), key=lambda found: found[2]))


def _stores(tree: ast.AST) -> Iterator[tuple[str, bool, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, False, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, True, node.lineno
