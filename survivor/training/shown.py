"""What was shown on this terminal before: lines that are printed again after a kill are dimmed there.

Eight bytes in a file on this machine, mapped into memory, say how far the job's output had come on the screen; they
outlive a kill of all processes. Nothing but a terminal is ever sent an escape sequence: not a pipe, a file, a log, nor
a notebook.
"""

from __future__ import annotations

import mmap
import os
import struct

_BEGIN, _END = b"\x1b[2m", b"\x1b[22m"
_SIZE = struct.Struct("<q")


class Shown:
    """How far the output of a job has come on the screen.

    Args:
        path: of the file; it is made if it isn't there.

    Raises:
        OSError: it can't be made, or somebody has put a link there.
    """

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(fd).st_size < _SIZE.size:
                os.ftruncate(fd, _SIZE.size)
            self._memory = mmap.mmap(fd, _SIZE.size)
        finally:
            os.close(fd)
        (self._before,) = _SIZE.unpack(self._memory[:])

    def parts(self, data: memoryview, begin: int) -> list[bytes | memoryview]:
        """What to write in place of ``data``, the output from ``begin`` on: what was shown before is dimmed."""
        again = max(0, min(len(data), self._before - begin))
        found: list[bytes | memoryview] = [_BEGIN, data[:again], _END] if again else []
        if again < len(data):
            found.append(data[again:])
        return found

    def note(self, end: int) -> None:
        """The output has come so far."""
        (known,) = _SIZE.unpack(self._memory[:])
        if end > known:
            _SIZE.pack_into(self._memory, 0, end)
