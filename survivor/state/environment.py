"""What a script changes in ``os.environ`` while it trains.

Only that: what the set-up does to it is done again by the set-up, perhaps with other values on another machine. What
goes by the name of a secret is left out: a job folder is shared.
"""

from __future__ import annotations

import os
import re

_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_at_start: dict[str, str] = {}
_began = False


def begin() -> None:
    """The first loop is entered: changes count from now on."""
    global _began  # noqa: PLW0603 - one process, one environment
    if not _began:
        _began = True
        _at_start.update(os.environ)


def read() -> dict[str, str | None]:
    """The variables that are others than they were, with None where there is none any more."""
    if not _began or dict(os.environ) == _at_start:
        return {}
    names = {name for name in {*os.environ, *_at_start} if os.environ.get(name) != _at_start.get(name)}
    return {name: os.environ.get(name) for name in sorted(names) if not _SECRET.search(name)}


def write(changes: dict[str, str | None]) -> None:
    """Make the environment differ from that at the start by just these changes."""
    for name, value in {**dict.fromkeys(read()), **changes}.items():
        wanted = value if name in changes else _at_start.get(name)
        if wanted is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = wanted
