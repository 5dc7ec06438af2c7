"""What samplers and data sets keep in their attributes, by path.

Looked at are ``Subset``, ``ConcatDataset``, lists of transforms, partials, closures and what they hold.
What is read is a list of ``[path, key, value]``:

- generators, wherever they are;
- of samplers, every attribute that is plain data. A large one (an index table) is carried only when it
  is no longer what it was when the sampler was first seen, because the script makes it again;
- of data sets, numbers that have changed since then (counters). Their containers are not carried: that
  is where caches are, and what a cache holds is fetched again. A cache of *random* results is therefore
  filled anew and not with the same values.

Rejected: ``deepcopy`` or pickling of samplers and data sets (they hold open files, gigabytes, the model).
"""

from __future__ import annotations

import marshal
from collections import deque
from collections.abc import Callable
from operator import is_
from typing import Any

import numpy as np
import torch
import xxhash

from survivor.errors import DivergedError
from survivor.state.loaders import rngs
from survivor.state.loaders.walking import PLAIN, view, walk

Entry = list[Any]  # [path, key, value]

_SMALL = 256  # elements of plain data that are carried without a look whether they changed


class Watch:
    """Reads and sets what the objects below some roots keep.

    Args:
        roots: root name to object.
        skip: objects that are not looked into.
        numbers: read numbers that have changed since ``baseline`` was called.
        plain: read plain attributes, except those of torch's own samplers that never change.
    """

    def __init__(
        self, roots: dict[str, Any], *, skip: tuple[Any, ...] = (), numbers: bool = False, plain: bool = False
    ) -> None:
        self.roots = roots
        self.skip = skip
        self.plain = plain
        self._numbers: dict[tuple[str, Any], Any] | None = {} if numbers else None
        self._moved: set[tuple[str, Any]] = set()
        self._rows: list[_Row] | None = None
        self._digests: dict[tuple[str, Any], Any] = {}
        self.not_carried: list[str] = []
        self.baseline()

    def baseline(self) -> None:
        """Take what there is now for what the script makes by itself."""
        for path, holder, values in walk(self.roots, self.skip):
            for key, value in values.items():
                if self._numbers is not None and type(value) in (int, float):
                    self._numbers[path, key] = value
                elif self._is_data(holder, value) and not _is_small(value):
                    self._digests[path, key] = _digest(value)

    def generators(self) -> dict[str, Any]:
        """The private generators below the roots, by path."""
        found: dict[int, tuple[str, Any]] = {}
        for path, _, values in walk(self.roots, self.skip):
            for key, value in values.items():
                if rngs.is_private(value):
                    found.setdefault(id(value), (f"{path}/{key}", value))
        return dict(found.values())

    def read(self, *, everything: bool = False) -> list[Entry]:
        """What is carried, as ``[path, key, value]``; values share nothing with the objects.

        Args:
            everything: plain data that has not changed, too.
        """
        entries: list[Entry] = []
        generators: set[int] = set()
        for path, holder, values in walk(self.roots, self.skip):
            for key, value in values.items():
                if isinstance(value, rngs.KINDS):
                    if rngs.is_private(value) and id(value) not in generators:
                        generators.add(id(value))
                        entries.append([path, key, rngs.read(value)])
                elif self._has_moved(path, key, value):
                    entries.append([path, key, value])
                elif self._is_data(holder, value):
                    self._read_data(path, key, value, entries, everything)
                elif self.plain and _is_bare_iterator(value) and holder is not self.roots:
                    self.not_carried.append(f"{path}/{key}")
        return entries

    def poll(self) -> list[Entry]:
        """`read`, made for many calls between which little happens (numbers and generators only).

        A holder whose values are the very objects they were costs a fraction of a microsecond, one whose
        numbers were counted up a few; anything else leads to a new walk.
        """
        if self._rows is None or not all(self._is_up_to_date(row) for row in self._rows):
            self._rows = [_Row(path, holder, values) for path, holder, values in walk(self.roots, self.skip)]
            for row in self._rows:
                row.numbers = self._moved_numbers(row)
        entries: list[Entry] = []
        seen: set[int] = set()
        for row in self._rows:
            entries += row.numbers
            for key, generator in row.generators:
                if id(generator) not in seen:
                    seen.add(id(generator))
                    entries.append([row.path, key, rngs.read(generator)])
        return entries

    def _is_up_to_date(self, row: _Row) -> bool:
        before, values = row.snapshot, row.view()
        if len(before) == len(values) and all(map(is_, before, values)):
            return True
        if len(before) != len(values):
            return False
        pairs = zip(before, values, strict=True)
        if not all(a is b or (isinstance(a, PLAIN) and isinstance(b, PLAIN)) for a, b in pairs):
            return False
        row.snapshot = tuple(values)
        row.numbers = self._moved_numbers(row)
        return True

    def _moved_numbers(self, row: _Row) -> list[Entry]:
        pairs = zip(row.keys, row.snapshot, strict=True)
        return [[row.path, key, value] for key, value in pairs if self._has_moved(row.path, key, value)]

    def _has_moved(self, path: str, key: Any, value: Any) -> bool:
        """Whether this is a number that is, or once was, another than at the baseline."""
        if self._numbers is None or type(value) not in (int, float):
            return False
        before = self._numbers.get((path, key))
        if type(before) is type(value) and before != value:
            self._moved.add((path, key))
        return (path, key) in self._moved

    def _is_data(self, holder: Any, value: Any) -> bool:
        """Whether a sampler's attribute counts as its state."""
        if not self.plain or holder is self.roots or isinstance(holder, (dict, list, tuple, deque)):
            return False
        if any(value is skipped for skipped in self.skip):
            return False
        if type(holder).__module__.startswith("torch."):
            return type(value) in (int, float, bool)
        kinds = (int, float, bool, str, bytes, type(None), list, tuple, dict, set, deque)
        return type(value) in kinds or isinstance(value, (torch.Tensor, np.ndarray))

    def _read_data(self, path: str, key: Any, value: Any, entries: list[Entry], everything: bool) -> None:
        if everything or _is_small(value):
            entries.append([path, key, {"data": _copy(value)}])
            return
        digest = _digest(value)
        if digest is not None and self._digests.get((path, key)) != digest:
            entries.append([path, key, {"data": _copy(value)}])

    def write(self, entries: list[Entry]) -> None:
        """Set what `read` gave, perhaps in another process; objects keep their identity.

        Raises:
            DivergedError: what should take a value is not there.
        """
        todo: dict[str, list[Entry]] = {}
        for entry in entries:
            todo.setdefault(entry[0], []).append(entry)
        for path, holder, values in walk(self.roots, self.skip):
            for _, key, value in todo.pop(path, ()):
                if not _put(holder, key, values.get(key), value):
                    _refuse(f"{path}/{key}")
        for path, lost in todo.items():
            _refuse(f"{path}/{lost[0][1]}")


def _refuse(path: str) -> None:
    raise DivergedError(
        f"a data loader's {path.lstrip('/').replace('/', '.')} was saved and has no counterpart now",
        advice="run the job with the sampler and the data set that it was started with; if it makes the object "
        "only when it is first used, make it in __init__, or give the class state_dict and load_state_dict",
    )


class _Row:
    """One holder as it was last seen. The snapshot keeps its values alive, so identity means equality."""

    __slots__ = ("generators", "keys", "numbers", "path", "snapshot", "view")

    def __init__(self, path: str, holder: Any, values: dict[Any, Any]) -> None:
        self.path = path
        self.view = view(holder)
        self.keys = tuple(values)
        self.snapshot = tuple(values.values())
        self.generators = [(key, value) for key, value in values.items() if rngs.is_private(value)]
        self.numbers: list[Entry] = []


def _is_bare_iterator(value: Any) -> bool:
    return type(value).__module__ in ("builtins", "itertools") and hasattr(value, "__next__")


def _is_small(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return len(value) <= 4096
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return False
    budget = _SMALL
    todo = [value]
    while todo:
        item = todo.pop()
        budget -= 1
        if budget < 0:
            return False
        if isinstance(item, dict):
            todo.extend(list(item)[: _SMALL + 1] + list(item.values())[: _SMALL + 1])
        elif type(item) in (list, tuple, set, deque):
            todo.extend(list(item)[: _SMALL + 1])
        elif type(item) not in (int, float, bool, str, bytes, type(None)):
            return False
    return True


def _digest(value: Any) -> Any:
    """Something that changes with the value, in this process only; ``None`` if it is not plain data."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized:
            return None
        return _digest(value.detach().cpu().contiguous().flatten().clone().view(torch.uint8).numpy())
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return None
        return value.shape, value.dtype.str, xxhash.xxh3_64_digest(np.ascontiguousarray(value).tobytes())
    if isinstance(value, deque):
        value = list(value)
    try:
        return xxhash.xxh3_64_digest(marshal.dumps(value, 2))  # 2: the last version without back references
    except (ValueError, TypeError):
        return None


def _copy(value: Any) -> Any:
    """A copy that shares nothing; a long list of integers as an array, which takes a tenth of the room."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is list and len(value) > _SMALL and all(type(item) is int for item in value):
        try:
            return {"integers": np.array(value, dtype=np.int64)}
        except OverflowError:
            pass
    copies: dict[type, Callable[[Any], Any]] = {
        dict: lambda v: {key: _copy(item) for key, item in v.items()},
        list: lambda v: [_copy(item) for item in v],
        tuple: lambda v: tuple(_copy(item) for item in v),
        set: set,
        deque: lambda v: deque((_copy(item) for item in v), v.maxlen),
    }
    copy = copies.get(type(value))
    return copy(value) if copy is not None else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"integers"} and isinstance(value["integers"], np.ndarray):
        return value["integers"].tolist()
    return _copy(value)


def _put(holder: Any, key: Any, current: Any, value: Any) -> bool:
    """Set one value, in place where the current one allows it; whether that was possible."""
    if rngs.is_state(value):
        if current is None:
            generator = rngs.make(value)
            return generator is not None and _assign(holder, key, generator)
        return rngs.write(current, value)
    if isinstance(value, dict) and value.keys() == {"data"}:
        data = _restored(value["data"])
        return _fill(current, data) or _assign(holder, key, data)
    return _assign(holder, key, value)


def _fill(current: Any, data: Any) -> bool:
    if type(current) is not type(data):
        return False
    if isinstance(current, (torch.Tensor, np.ndarray)):
        if current.shape != data.shape or current.dtype != data.dtype:
            return False
        with torch.no_grad():
            current[...] = data
    elif isinstance(current, list):
        current[:] = data
    elif isinstance(current, (dict, set, deque)):
        if isinstance(current, deque) and current.maxlen != data.maxlen:
            return False
        current.clear()
        (current.extend if isinstance(current, deque) else current.update)(data)
    else:
        return False
    return True


def _assign(holder: Any, key: Any, value: Any) -> bool:
    if isinstance(holder, dict):
        holder[key] = value
    elif isinstance(holder, (list, deque)):
        if type(key) is not int or key >= len(holder):
            return False
        holder[key] = value
    elif isinstance(getattr(holder, "__dict__", None), dict) and isinstance(key, str):
        holder.__dict__[key] = value
    else:
        return False
    return True
