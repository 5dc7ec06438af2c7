"""The bulk of a document: tensors, arrays, NumPy's numbers and random generators; the mirror of `decode_bulk`."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from survivor.state import atoms, rng
from survivor.state.scope import class_name
from survivor.state.tensors import sparse_parts

if TYPE_CHECKING:
    from survivor.state.memory import Memory


class BulkEncoder:
    """The part of an `Encoder` that knows tensors and arrays.

    Attributes:
        graph_tensors: number and tensor of those that hang on an autograd graph.
    """

    if TYPE_CHECKING:
        memory: Memory

        def ref(self, value: Any, parent: int = -1, label: str = "") -> Any: ...  # noqa: D102
        def _opaque(self, value: Any, number: int) -> Any: ...
        def _items(self, value: Iterable[Any], number: int) -> list[Any]: ...
        def _attributes(self, data: dict[str, Any], number: int) -> list[Any]: ...

    def __init__(self) -> None:
        self.graph_tensors: list[tuple[int, torch.Tensor]] = []

    def _tensor(self, value: torch.Tensor, number: int) -> Any:
        """``["tensor", class, fields]``; the memory fills in where its bytes are."""
        if value.layout is not torch.strided or value.is_quantized or value.is_meta or value.is_nested:
            return self._unusual_tensor(value, number)
        if value.grad_fn is not None:
            self.graph_tensors.append((number, value))
        own = None if type(value) is torch.Tensor else class_name(type(value))
        fields: dict[str, Any] = {"requires_grad": value.requires_grad, "leaf": value.is_leaf}
        if value.is_leaf and value.grad is not None:
            fields["grad"] = self.ref(value.grad, number, ".grad")
        if getattr(value, "__dict__", None):
            fields["attributes"] = self._attributes(value.__dict__, number)
        self.memory.tensor(value, number, fields)
        return ["tensor", own, fields]

    def _unusual_tensor(self, value: torch.Tensor, number: int) -> Any:
        """``["sparse", layout, shape, parts]``; quantized, nested and meta tensors are opaque."""
        parts = sparse_parts(value)
        if parts is None:
            return ["remade", "meta tensor"] if value.is_meta else self._opaque(value, number)
        return ["sparse", str(value.layout), list(value.shape), self._attributes(parts, number)]

    def _array(self, value: np.ndarray[Any, Any], number: int) -> Any:
        """``["array", class, fields]``; arrays of objects list their items."""
        own = None if type(value) is np.ndarray else class_name(type(value))
        if isinstance(value, np.memmap) and not value.flags.writeable:
            return ["remade", "memmap"]  # its bytes are in a file, and stay as they are
        if value.dtype.hasobject:
            return ["objects", own, list(value.shape), self._items(value.ravel().tolist(), number)]
        fields: dict[str, Any] = {}
        self.memory.array(value, number, fields)
        return ["array", own, fields]

    def _numpy_scalar(self, value: np.generic, number: int) -> Any:
        """``["scalar", dtype, bytes]``."""
        if value.dtype.hasobject:
            return self._opaque(value, number)
        return ["scalar", np.lib.format.dtype_to_descr(value.dtype), atoms.encode_atom(value.tobytes())]

    def _numpy_dtype(self, value: np.dtype[Any], number: int) -> Any:
        """``["dtype", descriptor]``."""
        return ["dtype", np.lib.format.dtype_to_descr(value)]

    def _numpy_rng(self, value: Any, number: int) -> Any:
        """``["numpy_rng", class, state, bit generator]``: Generator, RandomState or a bare bit generator."""
        if isinstance(value, np.random.RandomState):
            state: Any = value.get_state(legacy=False)
        else:
            state = rng.bits_of(value).state
        return ["numpy_rng", type(value).__name__, self.ref(state, number, ".state"), rng.bits_name(value)]

    def _python_rng(self, value: random.Random, number: int) -> Any:
        """``["python_rng", class, state]``."""
        if isinstance(value, random.SystemRandom):
            return ["remade", "SystemRandom"]
        return ["python_rng", class_name(type(value)), self.ref(value.getstate(), number, ".state")]

    def _torch_rng(self, value: torch.Generator, number: int) -> Any:
        """``["torch_rng", device, state]``."""
        return ["torch_rng", str(value.device), self.ref(value.get_state(), number, ".state")]
