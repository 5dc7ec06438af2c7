"""Iterators that a script holds or loops over, taken apart and put together again.

Built-in iterators tell what they are made of through ``__reduce__`` (lists and ranges: the container
and an index; ``enumerate``, ``zip``, ``map`` …: the iterators below them and a count); a DataLoader's
are the business of `survivor.state.loaders`. Kinds are a closed set, and what a document names is
looked up in it; nothing is called by name.
"""

from __future__ import annotations

import collections
import csv
import gc
import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data.dataloader import _BaseDataLoaderIter

from survivor.errors import NotResumableError

_COMPOSED: dict[str, type] = {
    "_deque_iterator": type(iter(collections.deque())),
    "_deque_reverse_iterator": type(reversed(collections.deque())),
    "enumerate": enumerate,
    "zip": zip,
    "map": map,
    "filter": filter,
    "reversed": reversed,
    "cycle": itertools.cycle,
    "islice": itertools.islice,
    "chain": itertools.chain,
    "count": itertools.count,
    "repeat": itertools.repeat,
    "starmap": itertools.starmap,
    "takewhile": itertools.takewhile,
    "dropwhile": itertools.dropwhile,
    "zip_longest": itertools.zip_longest,
    "product": itertools.product,
    "permutations": itertools.permutations,
    "combinations": itertools.combinations,
    "accumulate": itertools.accumulate,
}
_INDEXED = frozenset(
    [
        "list_iterator",
        "tuple_iterator",
        "str_iterator",
        "str_ascii_iterator",
        "bytes_iterator",
        "range_iterator",
        "longrange_iterator",
        "list_reverseiterator",
        "iterator",
        "callable_iterator",
    ]
)
#: These turn into a list of what is left when they are reduced.
_DRAINED = frozenset(["dict_keyiterator", "dict_valueiterator", "dict_itemiterator", "set_iterator"])


_CSV_READER = type(csv.reader([]))
_CSV_OPTIONS = (
    "delimiter",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quotechar",
    "quoting",
    "skipinitialspace",
    "strict",
)


def handles(kind: type) -> bool:
    """Whether instances of this class are iterators that this module can take apart."""
    if issubclass(kind, _BaseDataLoaderIter) or kind is _CSV_READER:
        return True
    return kind in _COMPOSED.values() or (kind.__module__ == "builtins" and kind.__name__ in _INDEXED | _DRAINED)


def is_composed(value: Any) -> bool:
    """Whether an iterator is made of other iterators (``enumerate``, ``zip`` …)."""
    return type(value) in _COMPOSED.values()


def is_fresh(value: Any) -> bool:
    """Whether nothing was taken yet from a DataLoader's iterator."""
    return isinstance(value, _BaseDataLoaderIter) and getattr(value, "_num_yielded", 1) == 0


def kind_name(value: Any) -> str:
    """The name of an iterator's kind in a document."""
    if type(value) is _CSV_READER:
        return "csv"
    return "loader" if isinstance(value, _BaseDataLoaderIter) else type(value).__name__


def parts(value: Any) -> dict[str, Any] | None:
    """What an iterator is made of: further objects, to be encoded in their turn; ``None`` if it won't say."""
    if isinstance(value, _BaseDataLoaderIter):
        from survivor.state import loaders

        position = loaders.capture(value)
        if not position["exact"] or position["not_carried"]:
            left_out = ", ".join(position["not_carried"]) or "a log of its random states that has grown too long"
            raise NotResumableError(
                f"the position of a data loader can't be carried: its sampler keeps {left_out}",
                advice="give the sampler a list of indices, or state_dict and load_state_dict",
            )
        return {"loader": loaders.owner(value), "position": position}
    if type(value) is _CSV_READER:
        below = [each for each in gc.get_referents(value) if hasattr(type(each), "__next__")]
        options = {name: getattr(value.dialect, name) for name in _CSV_OPTIONS}
        return {"arguments": (below[0],), "options": options} if len(below) == 1 else None
    try:
        reduced = value.__reduce__()
    except TypeError:
        return None
    if not isinstance(reduced, tuple):
        return None
    result: dict[str, Any] = {"arguments": reduced[1]}
    if len(reduced) > 2 and reduced[2] is not None:
        result["state"] = reduced[2]
    return result


def rebuild(kind: str, values: dict[str, Any]) -> Iterator[Any] | None:
    """An iterator of that kind from the parts that were restored."""
    arguments = tuple(values["arguments"])
    if kind == "csv":
        return csv.reader(*arguments, **values["options"])
    if kind in _COMPOSED:
        made: Any = _COMPOSED[kind](*arguments)
    elif kind == "list_reverseiterator":
        made = reversed(arguments[0])
    elif kind in _INDEXED | _DRAINED:
        made = iter(*arguments)
    else:
        return None
    if "state" in values:
        made.__setstate__(values["state"])
    return made  # type: ignore[no-any-return]
