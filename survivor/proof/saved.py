"""Whether two files that ``torch.save`` or ``pickle`` has written hold the same, though their bytes differ.

A pickle refers to an object that it has met before, and equal strings may be one object in one process and two in
another. So a checkpoint of the script's own that a resumed run writes can have other bytes and hold the same values.
Nothing is imported or run that a file names: each class is stood in for by one that keeps what it was given.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from typing import Any


def same(a: bytes, b: bytes) -> bool:
    """Whether both files hold the same values, in the same order, bit by bit; ``False`` if that can't be told."""
    try:
        return _digest_of_file(a) == _digest_of_file(b)
    except Exception:  # a broken pickle raises anything; what can't be read is not known to be the same
        return False


def _digest_of_file(data: bytes) -> str:
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            root = pickled.removesuffix("data.pkl")
            storages = {
                name.removeprefix(f"{root}data/"): hashlib.sha256(archive.read(name)).hexdigest()
                for name in archive.namelist()
                if name.startswith(f"{root}data/")
            }
            return _Digests().of(_Reader(io.BytesIO(archive.read(pickled)), storages).load())
    if data[:1] != b"\x80":
        raise ValueError("neither an archive nor a pickle")
    return _Digests().of(_Reader(io.BytesIO(data), {}).load())


class _Made:
    """Stands in for an object: its class, and all that the pickle gave it."""

    name = ""

    def __new__(cls, *args: Any, **more: Any) -> _Made:
        made = super().__new__(cls)
        made.given = [("new", args, more)]
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        self.given: list[Any]

    def __setstate__(self, state: Any) -> None:
        self.given.append(("state", state))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.given.append(("item", key, value))

    def append(self, value: Any) -> None:
        """As a list subclass is filled."""
        self.given.append(("append", value))

    def add(self, value: Any) -> None:
        """As a set subclass is filled."""
        self.given.append(("add", value))

    def extend(self, values: Any) -> None:
        """As a list subclass is filled with several."""
        self.given += [("append", value) for value in values]


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, storages: dict[str, str]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        return type("_Made", (_Made,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, place, size = pid
        return (kind, dtype.name, self._storages[key], place, size)


class _Digests:
    """Digests of what a reader has made; of a cycle, by how far back it leads."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._open: list[int] = []

    def of(self, value: Any) -> str:
        if isinstance(value, type):
            return _hash("class", getattr(value, "name", value.__qualname__))
        if not isinstance(value, (_Made, dict, list, tuple, set, frozenset)):
            return _hash(type(value).__name__, repr(value))
        if id(value) in self._open:
            return _hash("cycle", str(len(self._open) - self._open.index(id(value))))
        if id(value) not in self._known:
            self._open.append(id(value))
            self._known[id(value)] = self._parts(value)
            self._open.pop()
        return self._known[id(value)]

    def _parts(self, value: Any) -> str:
        if isinstance(value, _Made):
            return _hash(value.name, *(self.of(part) for part in value.given))
        if isinstance(value, dict):
            return _hash("dict", *(self.of(part) for pair in value.items() for part in pair))
        if isinstance(value, (set, frozenset)):
            return _hash(type(value).__name__, *sorted(self.of(part) for part in value))
        return _hash(type(value).__name__, *(self.of(part) for part in value))


def _hash(*parts: str) -> str:
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
