"""The child's snapshots on their way into the arena: at once, or partly beside the training."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from survivor import arena
from survivor.arena import Held, Publisher
from survivor.checkpoint.snapshot import Snapshot

if TYPE_CHECKING:
    from survivor.training.overlap import Overlap

_BUSY_POLL_S = 0.005
#: A copy of more than this is not the first to touch its memory, unless it must be.
_SLOW_TO_TOUCH_BYTES = 32 << 20
#: Less than this is copied in the time that a thread takes to begin.
_WORTH_A_THREAD_BYTES = 4 << 20


@dataclass(frozen=True)
class Settled:
    """What came of a copy beside the training.

    Attributes:
        seconds: what it took of a processor, or of whoever waited for it.
        torn: the state changed under it: the snapshot is to be taken again.
    """

    seconds: float
    torn: bool


class Copies:
    """Copies snapshots into the arena's slots, one after another.

    Args:
        slots: as the supervisor made them.
        gone: whether the supervisor is.
    """

    def __init__(self, slots: tuple[int, ...], gone: Callable[[], bool]) -> None:
        self._publisher = Publisher(slots)
        self._gone = gone
        self._preparing = _thread.allocate_lock()
        self._overlap: Overlap | None = None
        self._unsteady: set[str] = set()
        # a forked process would have a half of the copy, and no thread that ends it
        os.register_at_fork(before=self.settle)

    def take(self, snapshot: Snapshot, *, must: bool) -> Held | None:
        """Copy it whole; None if every slot is being read and it need not be now, or the supervisor is gone.

        Raises:
            NoMemoryError, FormatError: as the arena does.
        """
        self.settle()
        while not self._gone():
            try:
                return self._publisher.publish(snapshot, urgent=must)
            except arena.BusyError:
                if not must:
                    return None
                time.sleep(_BUSY_POLL_S)
        return None

    def take_beside(self, snapshot: Snapshot, sealed: Callable[[Held], None]) -> bool:
        """Copy what will change soon, and leave the rest to a thread; False if that does not pay for this snapshot.

        ``sealed`` is called, by the thread that trains, when all is there. Raises as `take`, and ``BusyError``.
        """
        if not snapshot.steady:
            return False
        from survivor.training import overlap  # brings torch, which a child that has no tensors can do without

        later = set() if overlap.compiles() else {name for name in snapshot.steady if name not in self._unsteady}
        if sum(snapshot.blobs[name].data.nbytes for name in later) < _WORTH_A_THREAD_BYTES:
            return False
        self.settle()
        copy = self._publisher.begin(snapshot, later)
        steady = {name: snapshot.steady[name] for name in later}
        self._overlap = overlap.Overlap(copy, steady, lambda: sealed(copy.held))
        self._overlap.start()
        return True

    def settle(self) -> None:
        """Wait for a copy that is being taken beside the training."""
        if self._overlap is not None:
            self._overlap.settle(wait=True)

    def settled(self) -> Settled | None:
        """What came of the copy that was taken beside the training, once; None while it is on its way."""
        pending = self._overlap
        if pending is None or not pending.settle(wait=False):
            return None
        self._overlap = None
        self._unsteady.update(pending.torn)
        return Settled(pending.seconds, torn=bool(pending.torn))

    def is_prepared_for(self, snapshot: Snapshot) -> bool:
        """Whether there is a slot whose memory was touched; a thread touches it otherwise, which takes a while."""
        size_bytes = self._publisher.unprepared_bytes(snapshot)
        if size_bytes <= _SLOW_TO_TOUCH_BYTES:
            return True
        self._prepare(size_bytes)
        return self._publisher.has_room(snapshot)

    def _prepare(self, size_bytes: int) -> None:
        """Have the arena's memory touched in a thread: the first touch is ten times slower than a copy."""
        if self._preparing.acquire(blocking=False):

            def prepare() -> None:
                try:
                    self._publisher.prepare(size_bytes)
                except (arena.NoMemoryError, arena.BusyError):
                    pass  # the next copy finds that out by itself
                finally:
                    self._preparing.release()

            _thread.start_new_thread(prepare, ())
