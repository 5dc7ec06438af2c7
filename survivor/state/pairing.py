"""The first pass of restoring: which live object stands in the place of which node of a document.

Document and live objects are walked side by side, modules first and optimizers last, because a parameter is
recognised by its name in its module and not by its position in an optimizer (which differs per process for
``Adam(set(params))``). A live object is claimed by one node only: what was two objects stays two.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import random
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from survivor.errors import FormatError
from survivor.state import (
    atoms,
    caches,
    exceptions,
    functions,
    generators,
    holders,
    iterators,
    parametrized,
    readers,
    rng,
    tables,
    tensors,
)
from survivor.state.scope import Scope, attributes_of, class_name

#: Stands for a value that can't be had: the object was not carried and the re-run has not made it.
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()

SEQUENCES: dict[str, type] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
}
_NUMPY_RNGS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)


def _sequence_fits(node: list[Any], live: Any) -> bool:
    base = SEQUENCES.get(node[0], dict)
    same = type(live) is base if node[1] is None else class_name(type(live)) == node[1]
    return bool(same and (node[0] != "deque" or live.maxlen == node[4]))


def _of_class(node: list[Any], live: Any) -> bool:
    return bool(class_name(type(live)) == node[1])


def _any_object(node: list[Any], live: Any) -> bool:
    return not atoms.is_atom(live)


#: Whether a live object can stand for a node, by the node's kind.
_FITS: dict[str, Callable[[list[Any], Any], bool]] = {
    **dict.fromkeys([*SEQUENCES, "dict"], _sequence_fits),
    **dict.fromkeys(["opaque", "stateful", "exception", "plain"], _of_class),
    "object": lambda node, live: _of_class(node, live) or parametrized.could_become(node[1], live),
    **dict.fromkeys(["remade", "progress", "cell", "objects"], _any_object),
    "numpy_rng": lambda node, live: (
        isinstance(live, _NUMPY_RNGS) and type(live).__name__ == node[1] and rng.bits_name(live) == node[3]
    ),
    "python_rng": lambda node, live: isinstance(live, random.Random) and class_name(type(live)) == node[1],
    "torch_rng": lambda node, live: (
        isinstance(live, torch.Generator) and live.device.type == tensors.device(node[1]).type
    ),
    "tensor": tensors.fits_tensor,
    "array": tensors.fits_array,
    "sparse": tensors.fits_sparse,
    "table": lambda node, live: tables.handles(type(live)) and type(live).__name__ == node[1],
    "holder": lambda node, live: holders.handles(type(live)) and holders.name(live) == node[1],
    "cache": lambda node, live: type(live) is caches.KIND,
    "bytearray": lambda node, live: type(live) is bytearray,
    "class": lambda node, live: isinstance(live, type) and class_name(live) == node[1],
    "iterator": lambda node, live: iterators.handles(type(live)) and iterators.kind_name(live) == node[1],
}
_FIRST, _EARLY, _LATE, _LAST = range(4)


class Pairing:
    """Finds the live object for each node.

    Args:
        nodes: the node table of the document.
        scope: tells the user's classes and modules.
    """

    def __init__(self, nodes: list[Any], scope: Scope) -> None:
        self.nodes = nodes
        self.scope = scope
        self.functions = functions.Library(scope)
        self._live: dict[int, Any] = {}
        self._claimed: dict[int, int] = {}
        self._alive: list[Any] = []
        self._blobs_of: dict[tuple[str, int], str] = {}
        self._memory_of: dict[str, tuple[str, int]] = {}
        self._queue: list[tuple[int, int, int, Any]] = []
        self._ticket = itertools.count()

    def pair(self, reference: Any, live: Any, least: int = _FIRST) -> None:
        """Offer a live object for a reference, ranked ``least`` or later; nothing is changed before `value`."""
        if not isinstance(reference, list) or live is MISSING:
            return
        number = self._number(reference)
        kind = self.nodes[number][0]
        if isinstance(live, torch.nn.Module) or (kind in ("tensor", "array") and "constant" in self.nodes[number][2]):
            rank = _FIRST  # of constants nothing is stored: they must find their place
        elif isinstance(live, torch.optim.Optimizer) or kind in ("set", "frozenset"):
            rank = _LAST
        elif kind in ("object", "function", "cell", "class", "tensor"):
            rank = _EARLY
        elif kind == "dict":
            rank = _EARLY if all(isinstance(key, str) for key, _ in self.nodes[number][2]) else _LAST
        else:
            rank = _LATE
        heapq.heappush(self._queue, (max(rank, least), next(self._ticket), number, live))

    def settle(self) -> None:
        """Pair everything in reach of the offered roots."""
        while self._queue:
            _, _, number, live = heapq.heappop(self._queue)
            if number in self._live or self._claimed.get(id(live), number) != number:
                continue
            node = self.nodes[number]
            if not self._compatible(node, live) or not self._claim_memory(node, live):
                continue
            self._live[number] = live
            self._claimed[id(live)] = number
            self._alive.append(live)
            self._pair_children(node, live)

    def _claim_memory(self, node: list[Any], live: Any) -> bool:
        """Whether a tensor's or array's memory may be filled: one memory for one blob, and one blob for one memory.

        What was a view of another at the time of the re-run's set-up need not be one any more.
        """
        if node[0] not in ("tensor", "array"):
            return True
        key, blob = tensors.memory_key(live), node[2].get("blob")
        if key is None or blob is None:
            return True
        if self._blobs_of.get(key, blob) != blob or self._memory_of.get(blob, key) != key:
            return False
        self._blobs_of[key], self._memory_of[blob] = blob, key
        return True

    def _number(self, reference: list[Any]) -> int:
        if len(reference) == 1 and isinstance(reference[0], int) and 0 <= reference[0] < len(self.nodes):
            return reference[0]
        raise FormatError(f"not a reference: {str(reference)[:60]}")

    def _held(self, reference: list[Any]) -> dict[str, Any]:
        """A dict of plain values, which needs no pairing."""
        found: dict[str, Any] = {}
        for key, item in self.nodes[self._number(reference)][2]:
            found[key] = self._held(item) if isinstance(item, list) else atoms.decode_atom(item)
        return found

    def _compatible(self, node: list[Any], live: Any) -> bool:
        if node[0] == "function":
            return self.functions.same(node, live)
        if node[0] == "file":
            return readers.handles(type(live)) and readers.same(self._held(node[1]), live)
        if node[0] == "generator":
            return type(live) is types.GeneratorType and generators.name(live, self.scope) == node[1]
        fits = _FITS.get(node[0])
        return fits is not None and bool(fits(node, live))

    def _pair_children(self, node: list[Any], live: Any) -> None:  # noqa: PLR0912  # one branch a kind
        kind = node[0]
        if kind in ("list", "tuple", "deque"):
            for item, other in zip(node[2], list(live), strict=False):
                self.pair(item, other)
        if kind == "objects" and isinstance(live, np.ndarray) and live.dtype.hasobject:
            for item, other in zip(node[3], live.ravel().tolist(), strict=False):
                self.pair(item, other)
        if kind == "dict":
            self._pair_dict(node, live)
        if kind in SEQUENCES or kind in ("dict", "object"):
            self._pair_attributes(node[2] if kind == "object" else node[3], attributes_of(live))
        elif kind == "class":
            self._pair_attributes(node[2], dict(vars(live)))
        elif kind == "tensor":
            if "grad" in node[2] and live.is_leaf and live.grad is not None:
                self.pair(node[2]["grad"], live.grad)
            self._pair_attributes(node[2].get("attributes", []), getattr(live, "__dict__", {}))
        elif kind == "function":
            # which object a method is bound to may have changed: what that is, is better known from elsewhere
            bound = node[1] == "partial" or any(name == "__self__" for name, _ in node[2])
            self._pair_attributes(node[2], self.functions.parts(live), _LAST if bound else _FIRST)
        elif kind == "cell":
            if len(node) > 1 and isinstance(live, types.CellType) and functions.cell_full(live):
                self.pair(node[1], live.cell_contents)
        elif kind == "iterator":
            self._pair_attributes(node[2], iterators.parts(live) or {})
        elif kind == "exception":
            self._pair_attributes(node[2], exceptions.parts(live) or {})
        elif kind == "cache":
            self._pair_attributes(node[1], caches.parts(live))
        elif kind == "holder":
            self._pair_attributes(node[2], holders.parts(live) or {})
        elif kind == "table":
            self._pair_attributes(node[2], tables.parts(live) or {})
        elif kind == "sparse":
            self._pair_attributes(node[3], tensors.sparse_parts(live) or {})
        elif kind == "generator":
            self._pair_attributes(node[2], generators.parts(live, self.scope) or {})

    def _pair_dict(self, node: list[Any], live: dict[Any, Any]) -> None:
        by_identity: dict[int, Any] = {}
        for key, item in node[2]:
            if isinstance(key, list):
                number = self._number(key)
                if number in self._live:
                    by_identity[id(self._live[number])] = item
                continue
            if isinstance(key, dict) and key["~"][0] == "id":
                continue
            plain = atoms.decode_atom(key)
            if plain in live:
                self.pair(item, dict.__getitem__(live, plain))
        if by_identity:
            for key, item in live.items():
                if id(key) in by_identity:
                    self.pair(by_identity[id(key)], item)

    def _pair_attributes(self, pairs: list[Any], live: Mapping[str, Any], least: int = _FIRST) -> None:
        for name, item in pairs:
            if name in live:
                self.pair(item, live[name], least)
