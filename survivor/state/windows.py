"""Windows on memory that other objects own (``memoryview``, a storage of torch's), and databases in memory."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch

#: Their names in a document.
NAMES = ("memoryview", "UntypedStorage", "Connection")
_OWNERS = (bytes, bytearray, np.ndarray)


def handles(kind: type) -> bool:
    """Whether objects of exactly this class are taken apart here."""
    sqlite = sys.modules.get("sqlite3")
    return kind in (memoryview, torch.UntypedStorage) or (sqlite is not None and kind is sqlite.Connection)


def parts(value: Any) -> dict[str, Any] | None:
    """What the object looks at, or holds; ``None`` if it won't say."""
    if isinstance(value, memoryview):
        return _view_parts(value)
    if isinstance(value, torch.UntypedStorage):
        if value.device.type == "meta":
            return None
        return {"bytes": torch.empty(0, dtype=torch.uint8, device=value.device).set_(value)}
    return _database_parts(value)


def _view_parts(value: memoryview) -> dict[str, Any] | None:
    try:
        owner = value.obj
    except ValueError:  # it was released
        return None
    shape = list(value.shape or ())
    if not isinstance(owner, _OWNERS) or not value.c_contiguous or 0 in shape:
        return None
    whole = np.frombuffer(owner, np.uint8) if not isinstance(owner, np.ndarray) else owner
    if not whole.flags.c_contiguous:
        return None
    begin = np.frombuffer(value, np.uint8).ctypes.data - whole.ctypes.data
    return {
        "owner": owner,
        "bytes": [begin, begin + value.nbytes],
        "format": value.format,
        "shape": shape,
        "readonly": value.readonly,
    }


def _database_parts(value: Any) -> dict[str, Any] | None:
    """The pages of a database that is in memory only; of others the file has it all."""
    try:
        attached = [(name, os.path.isabs(path)) for _, name, path in value.execute("PRAGMA database_list")]
    except Exception:  # it is closed, or of another thread
        return None
    if attached != [("main", False)] or not hasattr(value, "serialize"):  # from Python 3.11 on
        return None
    return {"pages": np.frombuffer(_pages(value), np.uint8), "open": value.in_transaction}


def _pages(database: Any) -> bytes:
    try:
        return bytes(database.serialize())
    except Exception:  # there is nothing in it
        return b""


def rebuild(kind: str, values: dict[str, Any], live: Any, missing: Any) -> Any:
    """The object with what it held; ``missing`` where there is no way."""
    if kind == "UntypedStorage":
        return values["bytes"].untyped_storage()
    if kind == "memoryview":
        return _view(values, live, missing)
    if live is missing:
        return missing
    pages = values["pages"].tobytes()
    if _pages(live) != pages:
        live.rollback()
        _copy(pages, live)
        if values["open"]:
            live.execute("BEGIN")
    return live


def _copy(pages: bytes, live: Any) -> None:
    """Fill a database; not by its own ``deserialize``, after which ``serialize`` leaves out what is not committed."""
    source = sys.modules["sqlite3"].connect(":memory:")
    if pages:
        source.deserialize(pages)
    source.backup(live)
    source.close()


def _view(values: dict[str, Any], live: Any, missing: Any) -> Any:
    owner = values["owner"]
    known = _view_parts(live) if live is not missing else None
    if known is not None and known["owner"] is owner and all(known[k] == v for k, v in values.items() if k != "owner"):
        return live
    begin, end = values["bytes"]
    view = memoryview(owner).cast("B")[begin:end].cast(values["format"], values["shape"])
    return view.toreadonly() if values["readonly"] else view
