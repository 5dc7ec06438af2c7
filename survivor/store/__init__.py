"""Where the bytes go: the smallest protocol, a folder store, and a store behind any fsspec URL.

A store knows nothing of jobs or checkpoints, and never imports torch.
"""

from pathlib import Path

from survivor.store.base import AbsentError, Chunk, Entry, Store
from survivor.store.folder import FolderStore

__all__ = ["AbsentError", "Chunk", "Entry", "FolderStore", "Store", "absolute", "open_store"]


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


def absolute(place: str) -> str:
    """Return the same place for a process with another working directory; a URL stays as it is."""
    if "://" in place:
        return place
    path = Path(place).expanduser().absolute()
    return str(path.resolve() if ".." in path.parts else path)  # ".." behind a link is not what its text says
