"""The bulk of a document: tensors, arrays, NumPy's numbers and random generators, made or filled in place."""

from __future__ import annotations

import collections
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from survivor.checkpoint.snapshot import Blob
from survivor.state import atoms, rng, tensors
from survivor.state.pairing import MISSING, Pairing
from survivor.state.scope import Scope, class_name


class BulkDecoder(Pairing):
    """The part of a `Decoder` that knows tensors and arrays."""

    if TYPE_CHECKING:
        _values: dict[int, Any]

        def value(self, reference: Any) -> Any: ...  # noqa: D102
        def _mapping(self, pairs: list[Any]) -> dict[str, Any]: ...
        def _set_attributes(self, target: Any, pairs: list[Any]) -> None: ...
        def _class_of(self, name: str | None, base: type) -> Any: ...

    def __init__(self, nodes: list[Any], blobs: Mapping[str, Blob], scope: Scope) -> None:
        super().__init__(nodes, scope)
        users = collections.Counter(node[2].get("blob") for node in nodes if node and node[0] in ("tensor", "array"))
        self.memory = tensors.Memory(blobs, {blob for blob, count in users.items() if count > 1})

    def settle(self) -> None:
        """Pair everything in reach of the offered roots, then see which live memory is to be shared."""
        super().settle()
        for number, live in self._live.items():
            node = self.nodes[number]
            if node[0] in ("tensor", "array") and "constant" not in node[2]:
                self.memory.settle(node[2]["blob"], live, node[2])

    def _make_tensor(self, number: int, node: list[Any], live: Any) -> Any:
        fields = node[2]
        if live is MISSING:
            cls = self._class_of(node[1], torch.Tensor)
            target = self.memory.new_tensor(fields, cls)
        else:
            target = live
            self.memory.fill_tensor(target, fields)
        self._values[number] = target
        if target.is_leaf:
            grad = self.value(fields["grad"]) if "grad" in fields else None
            if target.grad is not grad:
                target.grad = grad
        if "attributes" in fields:
            self._set_attributes(target, fields["attributes"])
        return target

    def _make_array(self, number: int, node: list[Any], live: Any) -> Any:
        if live is MISSING:
            return self.memory.new_array(node[2], self._class_of(node[1], np.ndarray))
        self.memory.fill_array(live, node[2])
        return live

    def _make_sparse(self, number: int, node: list[Any], live: Any) -> Any:
        return tensors.sparse(node[1], node[2], self._mapping(node[3]), live)

    def _make_scalar(self, number: int, node: list[Any], live: Any) -> Any:
        return np.frombuffer(atoms.decode_atom(node[2]), tensors.numpy_dtype(node[1]))[0]

    def _make_dtype(self, number: int, node: list[Any], live: Any) -> Any:
        return np.dtype(object) if node[1] == "|O" else tensors.numpy_dtype(node[1])

    def _make_torch(self, number: int, node: list[Any], live: Any) -> Any:
        return tensors.torch_constant(node[1], node[2])

    def _make_numpy_rng(self, number: int, node: list[Any], live: Any) -> Any:
        state = self.value(node[2])
        target = live
        if target is MISSING:
            target = rng.new_numpy(node[1], node[3])
        if isinstance(target, np.random.RandomState):
            target.set_state(state)
        else:
            rng.bits_of(target).state = state
        return target

    def _make_python_rng(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        if target is MISSING:
            cls = random.Random if node[1] == class_name(random.Random) else self._class_of(node[1], random.Random)
            target = cls.__new__(cls)
        target.setstate(self.value(node[2]))
        return target

    def _make_torch_rng(self, number: int, node: list[Any], live: Any) -> Any:
        target = live if live is not MISSING else torch.Generator(tensors.device(node[1]))
        target.set_state(self.value(node[2]))
        return target
