"""Tensors and arrays from blobs: filled in place where a live one fits, else made anew, sharing memory as before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from survivor.checkpoint.snapshot import Blob
from survivor.errors import DivergedError, FormatError
from survivor.state.memory import array_bytes, bulk_digest, root_of, storage_bytes
from survivor.state.scope import class_name

_CONSTANTS: dict[str, type] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
    "qscheme": torch.qscheme,
}


def torch_constant(kind: str, name: str) -> Any:
    """A dtype, device, layout or memory format from its printed name."""
    if kind == "device":
        return device(name)
    found = getattr(torch, name.removeprefix("torch."), None)
    if kind not in _CONSTANTS or not isinstance(found, _CONSTANTS[kind]):
        raise FormatError(f"not a torch constant: {kind} {name!r}")
    return found


def device(name: str) -> torch.device:
    """The device of that name."""
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise FormatError(f"not a device: {name!r}") from error


def numpy_dtype(descriptor: Any) -> np.dtype[Any]:
    """The NumPy dtype of a descriptor as ``np.lib.format`` writes it; never one that holds objects."""
    if isinstance(descriptor, list):
        descriptor = [
            tuple(tuple(x) if isinstance(x, list) and i == 2 else x for i, x in enumerate(f)) for f in descriptor
        ]
    try:
        dtype = np.lib.format.descr_to_dtype(descriptor)
    except (TypeError, ValueError) as error:
        raise FormatError(f"not a NumPy dtype: {str(descriptor)[:80]}") from error
    if dtype.hasobject:
        raise FormatError("an array of objects where bytes were expected")
    return dtype


def fits_tensor(node: list[Any], live: Any) -> bool:
    """Whether a live tensor can be filled with a node's bytes."""
    if not isinstance(live, torch.Tensor) or live.layout is not torch.strided or live.is_meta:
        return False
    own = None if type(live) is torch.Tensor else class_name(type(live))
    fields = node[2]
    if torch.nn.parameter.is_lazy(live):
        return False
    return bool(
        own == node[1]
        and str(live.dtype) == fields["dtype"]
        and list(live.shape) == fields["shape"]
        and live.device.type == device(fields["device"]).type
        and (live.is_leaf or not fields["leaf"])
        and not (live.is_leaf and live.requires_grad and not fields["leaf"])
        and not live.is_inference()
    )


def _same_part(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return bool(a == b)
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


def fits_array(node: list[Any], live: Any) -> bool:
    """Whether a live array can be filled with a node's bytes."""
    if not isinstance(live, np.ndarray) or not live.flags.writeable:
        return False
    own = None if type(live) is np.ndarray else class_name(type(live))
    fields = node[2]
    return bool(own == node[1] and live.dtype == numpy_dtype(fields["dtype"]) and list(live.shape) == fields["shape"])


def memory_key(live: Any) -> tuple[str, int] | None:
    """What tells the memory of a live tensor or array from that of others; None if it has none."""
    if isinstance(live, torch.Tensor):
        storage = live.untyped_storage()
        return (str(live.device), storage.data_ptr()) if storage.nbytes() else None
    root = root_of(live)
    return ("cpu", root.__array_interface__["data"][0]) if root.nbytes else None


@dataclass(frozen=True)
class _Home:
    """Memory that the tensors and arrays of one blob share: its bytes, and where in them the blob begins."""

    bytes: torch.Tensor
    offset: int


class Memory:
    """The bytes of one document's blobs, each brought to life once.

    Args:
        blobs: name to bytes, read when first asked for.
        shared: names of blobs that several tensors or arrays look at.
    """

    def __init__(self, blobs: Mapping[str, Blob], shared: Set[str] = frozenset()) -> None:
        self._blobs = blobs
        self._shared = shared
        self._homes: dict[str, _Home] = {}
        self._checked: dict[str, memoryview] = {}

    def _bytes(self, fields: dict[str, Any]) -> memoryview:
        if fields["blob"] in self._checked:
            return self._checked[fields["blob"]]
        if "constant" in fields:
            raise DivergedError(f"{fields['blob']} was made by the script's set-up, and this run has not made it")
        try:
            return self._blobs[fields["blob"]].data
        except KeyError as error:
            raise FormatError(f"the checkpoint lacks the bytes of {fields.get('blob')!r}") from error

    def _view(self, fields: dict[str, Any], data: Any) -> np.ndarray[Any, Any]:
        """The bytes of a tensor or array as ``uint8`` of shape ``(*shape, itemsize)``."""
        shape, offset = tuple(fields["shape"]), fields["offset"]
        itemsize = _itemsize(fields)
        strides = fields["stride"]
        if strides is None:
            strides = _contiguous(shape, itemsize)
        span = 0 if 0 in shape else sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + itemsize
        if min(shape, default=0) < 0 or min(strides, default=0) < 0 or not 0 <= offset <= len(data) - span:
            raise FormatError(f"the bytes of {fields['blob']!r} do not hold shape {shape}")
        if 0 in shape:
            return np.empty((*shape, itemsize), np.uint8)
        flat = np.frombuffer(data, np.uint8)[offset:]
        return np.lib.stride_tricks.as_strided(flat, (*shape, itemsize), (*strides, 1))

    def fill_tensor(self, live: torch.Tensor, fields: dict[str, Any]) -> None:
        """Copy the bytes into a live tensor, keeping its identity and, where the layout is the same, its storage."""
        if "constant" in fields:
            storage, begin = live.untyped_storage(), live.storage_offset() * live.element_size() - fields["offset"]
            self._check_constant(fields, begin, storage.nbytes(), lambda a, b: storage_bytes(storage, a, b))
            return
        source = self._host_tensor(fields)
        with torch.no_grad():
            # .data: a tensor that is part of a graph, and a leaf that wants gradients, can both be written
            strides = [s * live.element_size() for s in live.stride()]
            if fields["stride"] is None or _same_layout(fields, strides):
                live.data.copy_(source)
            else:
                live.data = self.new_tensor(fields, torch.Tensor)
        wants_grad = bool(fields["requires_grad"] and fields["leaf"])  # what hung on a graph is carried detached
        if live.is_leaf and live.requires_grad != wants_grad:
            live.requires_grad_(wants_grad)
    def _check_constant(
        self, fields: dict[str, Any], begin: int, size: int, read: Callable[[int, int], memoryview]
    ) -> None:
        """Compare what the set-up has made again with what it was; both are bulk data that was not stored."""
        digest, length = fields["constant"]
        name = fields["blob"]
        if name in self._checked:
            return
        if begin < 0 or begin + length > size or bulk_digest(read(begin, begin + length)) != digest:
            raise DivergedError(
                f"{name} ({length:,} bytes) is not what it was when the job began: "
                "this run's set-up has made it differently",
                advice="bring the data back to what it was, or start over with --fresh",
            )
        self._checked[name] = read(begin, begin + length)

    def _host_tensor(self, fields: dict[str, Any]) -> torch.Tensor:
        dtype = torch_constant("dtype", fields["dtype"])
        packed = np.ascontiguousarray(self._view(fields, self._bytes(fields)))
        if not packed.flags.writeable:
            packed = packed.copy()
        flat = torch.from_numpy(packed.reshape(-1))
        if packed.size:
            result = flat.view(dtype).reshape(fields["shape"])
        else:
            result = torch.empty(fields["shape"], dtype=dtype, device="cpu")
        if fields.get("conj"):
            result = result.conj()
        return torch._neg_view(result) if fields.get("neg") else result

    def new_tensor(self, fields: dict[str, Any], cls: type) -> torch.Tensor:
        """A new tensor of that class, in the memory that it shared with others where it did."""
        dtype, target = torch_constant("dtype", fields["dtype"]), device(fields["device"])
        if fields["stride"] is None or fields.get("conj") or fields.get("neg"):
            lazy = bool(fields.get("conj") or fields.get("neg"))  # a copy would resolve it
            made = self._host_tensor(fields).to(target, copy=not lazy)  # into memory of torch's own, see `_home`
        else:
            self._view(fields, self._bytes(fields))  # bounds
            home = self._home(fields, target)
            size = _itemsize(fields)
            stride = [s // size for s in fields["stride"]]
            made = torch.empty(0, dtype=dtype, device=target)
            storage = home.bytes.untyped_storage()
            made.set_(storage, (home.offset + fields["offset"]) // size, fields["shape"], stride)
        wants_grad = bool(fields["requires_grad"] and fields["leaf"])
        if cls is torch.Tensor:
            return made.requires_grad_(wants_grad) if wants_grad else made
        if cls is torch.nn.Parameter:
            return torch.nn.Parameter(made, requires_grad=wants_grad)
        return torch.Tensor._make_subclass(cls, made, wants_grad)

    def settle(self, blob: str, live: Any, fields: dict[str, Any]) -> None:
        """Note that a live tensor or array will be filled: what shares its blob is to share its memory."""
        if fields["stride"] is None or blob in self._homes:
            return
        if isinstance(live, torch.Tensor):
            size = live.element_size()
            if not _same_layout(fields, [s * size for s in live.stride()]):
                return  # it gets new memory
            flat = torch.empty(0, dtype=torch.uint8, device=live.device).set_(live.untyped_storage())
            offset = live.storage_offset() * size
        else:
            root = root_of(live)
            if not _same_layout(fields, list(live.strides)) or not root.flags.writeable or not root.flags.forc:
                return
            flat = torch.from_numpy(np.frombuffer(array_bytes(root), np.uint8))
            offset = live.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        if offset >= fields["offset"]:
            self._homes[blob] = _Home(flat, offset - fields["offset"])

    def _home(self, fields: dict[str, Any], target: torch.device) -> _Home:
        name = fields["blob"]
        data = self._bytes(fields)
        home = self._homes.get(name)
        if home is not None and home.bytes.device == target and home.bytes.numel() >= home.offset + len(data):
            return home
        # memory of torch's own: aligned as it aligns, since kernels may mind, and resizable, since observers resize
        flat = torch.empty(len(data), dtype=torch.uint8, device="cpu")  # whatever the script's default is
        if len(data):
            flat.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        self._homes[name] = _Home(flat.to(target), 0)
        return self._homes[name]

    def new_array(self, fields: dict[str, Any], cls: type) -> np.ndarray[Any, Any]:
        """A new array, in the memory that it shared with others where it did."""
        if fields["blob"] in self._shared and fields["stride"] is not None:
            self._view(fields, self._bytes(fields))  # bounds
            home = self._home(fields, torch.device("cpu"))
            flat = home.bytes.numpy()[home.offset + fields["offset"] :]
            shape, dtype = tuple(fields["shape"]), numpy_dtype(fields["dtype"])
            made = np.ndarray(shape, dtype, buffer=flat, strides=tuple(fields["stride"]))
            made.flags.writeable = fields["writeable"]
        else:
            made = self._copied_array(fields)
        return made if cls is np.ndarray else made.view(cls)

    def _copied_array(self, fields: dict[str, Any]) -> np.ndarray[Any, Any]:
        dtype = numpy_dtype(fields["dtype"])
        packed = np.ascontiguousarray(self._view(fields, self._bytes(fields))).copy()
        shape = tuple(fields["shape"])
        made = packed.reshape(-1).view(dtype).reshape(shape) if packed.size else np.empty(shape, dtype)
        if fields["stride"] is not None and list(made.strides) != fields["stride"] and made.ndim > 1:
            order = sorted(range(made.ndim), key=lambda axis: -fields["stride"][axis])
            dense = np.ascontiguousarray(made.transpose(order))
            made = dense.transpose(np.argsort(order))
        made.flags.writeable = fields["writeable"]
        return made

    def fill_array(self, live: np.ndarray[Any, Any], fields: dict[str, Any]) -> None:
        """Copy the bytes into a live array."""
        if "constant" in fields:
            root = root_of(live)
            begin = live.__array_interface__["data"][0] - root.__array_interface__["data"][0] - fields["offset"]
            self._check_constant(fields, begin, root.nbytes, lambda a, b: array_bytes(root)[a:b])
            return
        live[...] = self._copied_array(fields)


def _same_layout(fields: dict[str, Any], strides: list[int]) -> bool:
    """Equal strides, where a stride of a dimension of size one means nothing."""
    pairs = zip(fields["shape"], fields["stride"], strides, strict=True)
    return 0 in fields["shape"] or all(n == 1 or a == b for n, a, b in pairs)


def _contiguous(shape: tuple[int, ...], itemsize: int) -> list[int]:
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return strides[::-1]


def _itemsize(fields: dict[str, Any]) -> int:
    name = fields["dtype"]
    if isinstance(name, str) and name.startswith("torch."):
        return int(torch_constant("dtype", name).itemsize)
    return numpy_dtype(name).itemsize


def sparse_parts(value: torch.Tensor) -> dict[str, Any] | None:
    """What a sparse tensor is made of, without a graph; ``None`` of a layout that is not carried."""
    if value.layout is torch.sparse_coo:
        parts = {"indices": value._indices(), "values": value._values(), "coalesced": value.is_coalesced()}
    elif value.layout is torch.sparse_csr:
        parts = {"crow": value.crow_indices(), "col": value.col_indices(), "values": value.values()}
    else:
        return None
    return {name: part.detach() if isinstance(part, torch.Tensor) else part for name, part in parts.items()}


def fits_sparse(node: list[Any], live: Any) -> bool:
    """Whether a live tensor is as sparse as a node's, so that its parts are those of the node."""
    return isinstance(live, torch.Tensor) and str(live.layout) == node[1] and list(live.shape) == node[2]


def sparse(layout: str, shape: list[int], parts: dict[str, Any], live: Any = None) -> torch.Tensor:
    """A sparse tensor from its restored parts; ``live`` itself where they are that one's own memory."""
    own = sparse_parts(live) if isinstance(live, torch.Tensor) else None
    if own is not None and all(_same_part(own[name], part) for name, part in parts.items()):
        return live  # type: ignore[no-any-return]
    if layout == "torch.sparse_coo":
        made = torch.sparse_coo_tensor(parts["indices"], parts["values"], shape, check_invariants=True)
        return made._coalesced_(bool(parts["coalesced"]))
    if layout == "torch.sparse_csr":
        return torch.sparse_csr_tensor(parts["crow"], parts["col"], parts["values"], shape, check_invariants=True)
    raise FormatError(f"unknown layout {layout!r}")
