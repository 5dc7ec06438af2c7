"""Where the bytes go: the smallest protocol, a folder store, and a store behind any fsspec URL.

A store knows nothing of jobs or checkpoints, and never imports torch.
"""

from survivor.store.base import AbsentError, Chunk, Entry, Store
from survivor.store.folder import FolderStore

__all__ = ["AbsentError", "Chunk", "Entry", "FolderStore", "Store", "open_store"]


def open_store(place: str) -> Store:
    """Return the store at a folder or, with ``scheme://``, at an fsspec URL.

    Raises:
        UsageError: the scheme is unknown or its package is not installed.
    """
    # fsspec's own local files are not synced to the disk
    if "://" not in place or place.startswith("file://"):
        return FolderStore(place.removeprefix("file://"))
    from survivor.store.remote import RemoteStore

    return RemoteStore(place)
