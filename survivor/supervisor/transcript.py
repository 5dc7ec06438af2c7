"""What the children of a session print, in memory that they share with the supervisor."""

from __future__ import annotations

import os

#: How much of the output's end a session's record keeps: what was printed since the newest checkpoint.
_TAIL_BYTES = 4 << 20


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
