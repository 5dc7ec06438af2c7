"""The names of files in a job folder (docs/format.md, "Tree"); nothing else is ever opened in one."""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from survivor.errors import UsageError

CHECKPOINTS = "checkpoints"
PACKS = "packs"
JOB = "job"
SESSIONS = "sessions"
LEASES = "leases"

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STAMP = re.compile(r"(\d{8,12})-(\d{10,18})-(\d{2,6})-([0-9a-f]{8})")


class Stamp(NamedTuple):
    """The name of a checkpoint or a pack, in its order: by holder, step, and commit at that step."""

    token: int
    step: int
    turn: int
    nonce: str

    def __str__(self) -> str:
        """Return the one proper spelling."""
        return f"{self.token:08d}-{self.step:010d}-{self.turn:02d}-{self.nonce}"


def new_stamp(token: int, step: int, turn: int) -> Stamp:
    """Return a name that no other writer picks, whatever it believes its token to be."""
    return Stamp(token, step, turn, new_nonce())


def new_nonce() -> str:
    """Return the random part of a name."""
    return secrets.token_hex(4)


def parse_stamp(text: str) -> Stamp | None:
    """Return the stamp that ``text`` spells, or None; only its one proper spelling counts."""
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    stamp = Stamp(int(match[1]), int(match[2]), int(match[3]), match[4])
    return stamp if str(stamp) == text else None


def stamps(names: list[str], suffix: str) -> list[Stamp]:
    """Return the stamps among the names of files, in ascending order."""
    found = [parse_stamp(leaf(name).removesuffix(suffix)) for name in names if name.endswith(suffix)]
    return sorted(stamp for stamp in found if stamp is not None)


def leaf(name: str) -> str:
    """Return the last part of a name."""
    return name.rpartition("/")[2]


def checked_job(job: str) -> str:
    """Return ``job`` if it can be the name of a job; raise ``UsageError`` otherwise."""
    if not _JOB_NAME.fullmatch(job):
        raise UsageError(
            f"{job[:120]!r} can't be the name of a job: letters, digits, '.', '_' and '-', at most 100, "
            "the first a letter or digit",
            advice="Choose another with --job.",
        )
    return job
