"""The watch: asks each source of notices in a thread of its own, and wakes the session's loop when one has something.

A source may wait for an answer, and even hang: its thread is left behind then, and the loop never waits for it.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any

from survivor.notices import Notice, Source, View, clock, spot
from survivor.notices.cpu import CpuTime
from survivor.notices.memory import MemoryLimit
from survivor.notices.space import StoreSpace
from survivor.notices.stopfile import StopFile
from survivor.supervisor.options import RunOptions

_GROUP = "survivor.notices"
#: A notice that does not end the session is given again after so long, if it still holds.
_AGAIN_S = 1800.0


def sources(options: RunOptions, warn: Callable[[str], None]) -> list[Source]:
    """All that this session watches."""
    limit_s = options.time_limit_s
    found: list[Source | None] = [
        clock.of_place(os.environ) if limit_s is None else clock.of_user(limit_s) if limit_s < math.inf else None,
        MemoryLimit(),
        StoreSpace(),
        cpu if (cpu := CpuTime()).is_limited else None,
        StopFile(options.stop_file) if options.stop_file else None,
        spot.here(),
    ]
    for entry in metadata.entry_points(group=_GROUP):
        try:
            found.append(entry.load()())
        except Exception as error:  # somebody else's code must not end the session
            warn(f"notices: {entry.value} could not be used: {type(error).__name__}: {error}")
    return [source for source in found if source is not None]


class Watch:
    """Collects notices while it is entered.

    Args:
        watched: the sources.
        view: what they are told, at the moment of asking.
        warn: for a source that fails.

    Attributes:
        wakeup: becomes readable when there is a notice.
    """

    def __init__(self, watched: Iterable[Source], view: Callable[[], View], warn: Callable[[str], None]) -> None:
        self._sources, self._view, self._warn = list(watched), view, warn
        self.wakeup, self._waker = socket.socketpair()
        for end in (self.wakeup, self._waker):
            end.setblocking(False)
        self._notices: deque[Notice] = deque()
        self._end = threading.Event()

    def __enter__(self) -> Watch:
        """Begin to ask."""
        for source in self._sources:
            name = f"survivor-{type(source).__name__.lower()}"
            threading.Thread(target=self._ask, args=(source,), name=name, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        """Ask no more; nobody is waited for."""
        self._end.set()

    def drain(self) -> list[Notice]:
        """The notices since the last call."""
        with contextlib.suppress(BlockingIOError):
            while self.wakeup.recv(4096):
                pass
        found = []
        while self._notices:
            found.append(self._notices.popleft())
        return found

    def _ask(self, source: Source) -> None:
        wait_s = 0.0
        while not self._end.wait(wait_s):
            wait_s = source.every_s
            try:
                notice = source.look(self._view())
            except OSError:
                continue  # it will answer another time
            except Exception as error:
                self._warn(f"notices: {type(source).__name__} failed: {type(error).__name__}: {error}")
                return
            if notice is not None:
                self._notices.append(notice)
                with contextlib.suppress(OSError):
                    self._waker.send(b".")
                if notice.ends:
                    return
                wait_s = _AGAIN_S
