"""Iterators over DataLoaders that can be saved and brought back, to the bit, without fetching what was consumed.

- `install` makes torch's iterators keep books; then `capture` says where one stands,
- `reposition` brings a new one there, in place; `remake` makes one,
- `owner` is the loader of an iterator.

The rooms: `rngs` (generators by value), `objects` (what samplers and data sets keep), `streams` (indices
that can be replayed), `worker` (the part in the worker processes), `tracking` (hooks and books),
`positions` (capture and reposition).
"""

from __future__ import annotations

from survivor.state.loaders.positions import capture, owner, remake, reposition
from survivor.state.loaders.tracking import install

__all__ = ["capture", "deferring", "install", "owner", "remake", "reposition"]

#: While True, iterators with workers do not start them before their first batch is asked for.
deferring = False
