"""Iterators over DataLoaders, saved and brought back to the bit; what was consumed is not fetched again.

- `install` makes torch's iterators keep books; then `capture` says where one stands,
- `reposition` brings a new one there, in place; `remake` makes one,
- `owner` is the loader of an iterator.

The rooms: `rngs` (generators by value), `walking` and `objects` (what samplers and data sets keep),
`streams` (indices that can be replayed), `worker` (the part in the worker processes), `tracking` (the
books), `hooks` (in torch), `positions` (capture and reposition).
"""

from __future__ import annotations

from survivor.state.loaders.hooks import install
from survivor.state.loaders.positions import capture, owner, remake, reposition

__all__ = ["capture", "deferring", "install", "owner", "remake", "reposition"]

#: While True, iterators with workers do not start them before their first batch is asked for.
deferring = False
