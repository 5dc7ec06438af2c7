"""Room in the store: a disk or quota that is full takes no checkpoint."""

from __future__ import annotations

from survivor.notices import Notice, View

_CHECKPOINTS = 2


class StoreSpace:
    """Compares the room that the writer has last seen with what checkpoints need."""

    every_s = 5.0

    def look(self, view: View) -> Notice | None:
        """A notice when the store has no room for two more checkpoints."""
        if view.free_bytes is None or not view.state_bytes or view.free_bytes >= _CHECKPOINTS * view.state_bytes:
            return None
        free, need = view.free_bytes / 1e9, view.state_bytes / 1e9
        return Notice(
            reason=f"the store is nearly full: {free:.2f} GB left, a checkpoint takes up to {need:.2f} GB", ends=False
        )
