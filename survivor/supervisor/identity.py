"""Whether this command and the job in the folder go together: arguments, and the script's text."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence

_SHOWN_LINES = 30


def argument_difference(before: Sequence[str], now: Sequence[str]) -> str:
    """What two command lines differ in, for people: the changed words with their neighbours in place.

    ``--lr 0.1 --epochs 3`` against ``--lr 0.2 --epochs 3`` gives ``--lr 0.1`` and ``--lr 0.2``; an
    option stands beside its value.
    """
    old, new = _with_values(before), _with_values(now)
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    lines = []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag != "equal":
            lines += [f"- {word}" for word in old[old_from:old_to]]
            lines += [f"+ {word}" for word in new[new_from:new_to]]
    return "\n".join(lines)


def source_difference(before: str, now: str, name: str) -> str:
    """A short unified diff of two texts of a script; "" if they are equal."""
    lines = list(
        difflib.unified_diff(
            before.splitlines(), now.splitlines(), f"{name} (last session)", f"{name} (now)", lineterm="", n=1
        )
    )
    if len(lines) > _SHOWN_LINES:
        lines = [*lines[:_SHOWN_LINES], f"… and {len(lines) - _SHOWN_LINES} more lines"]
    return "\n".join(lines)


def _with_values(words: Sequence[str]) -> list[str]:
    """The words quoted for a shell, an option joined with the value behind it."""
    joined: list[str] = []
    for word in words:
        quoted = shlex.quote(word)
        previous = joined[-1] if joined else ""
        opens = previous.startswith("-") and "=" not in previous and " " not in previous
        if opens and not word.startswith("-"):
            joined[-1] = f"{previous} {quoted}"
        else:
            joined.append(quoted)
    return joined
