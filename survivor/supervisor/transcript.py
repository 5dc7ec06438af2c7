"""What the children of a session print, in memory that they share with the supervisor."""

from __future__ import annotations

import hashlib
import os

from survivor.errors import StoreError
from survivor.store import absolute
from survivor.supervisor import spool
from survivor.supervisor.job import OpenJob
from survivor.supervisor.options import RunOptions

#: How much of the output's end a session's record keeps: what was printed since the newest checkpoint.
_TAIL_BYTES = 4 << 20


def shown_file(options: RunOptions, job: OpenJob) -> str:
    """The file that knows what a terminal has shown of a job, for the child; "" where nothing is to be dimmed.

    It lies on this machine, beside the spool, and is another one for a job that was begun anew.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    if plain or not os.isatty(1):
        return ""
    name = "\0".join([absolute(options.store), options.job, repr(job.record.created)])
    key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    root = spool.folder(f"shown {key}")
    try:
        spool.prepare(root)
    except (OSError, StoreError):
        return ""
    return root


class Transcript:
    """The output of the job so far; children write it (`survivor.training.output`), it outlives them."""

    def __init__(self) -> None:
        """Make it, empty."""
        self.fd = os.memfd_create("survivor-output")

    def tail(self) -> dict[str, object]:
        """The end of the output, for a session's record: ``start`` in bytes, ``text`` with one character a byte."""
        size = os.fstat(self.fd).st_size
        start = max(0, size - _TAIL_BYTES)
        return {"start": start, "text": os.pread(self.fd, size - start, start).decode("latin-1")}

    def __del__(self) -> None:
        """Give the memory back."""
        os.close(self.fd)
