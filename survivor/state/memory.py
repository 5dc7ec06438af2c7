"""Which bytes stand behind the tensors and arrays of a snapshot, so that what shares memory still does.

Memory is known by its *storage*: torch's untyped storage, or the buffer at the root of an ndarray's
views (``torch.from_numpy`` makes the two one). Every user of a storage is noted during the walk;
`Memory.finish` then decides what is stored: a tensor that is alone in its storage becomes a blob of its
own dtype and shape, several views become one range of bytes that all of them refer to.

Bulk data that the script's set-up has made and training leaves alone (a data set's arrays) is not stored:
its digest is taken at the head of the first training loop, and as long as it stays the same the document
carries the digest only. A resumed run has made the data again, and is checked against it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xxhash

from survivor.checkpoint.snapshot import Blob
from survivor.state.steady import LEAST_BYTES, Steady

#: torch dtype to safetensors dtype; what is not here travels as bytes, with its dtype in the document.
SAFETENSORS_DTYPES: dict[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_NUMPY_DTYPES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8"}
#: A lone view is stored with the gaps of its memory as long as they are not more than its own bytes.
_GAP_FACTOR = 2
_BULK_BYTES = 1 << 16
_WEIGHTS = ("._parameters[", "._buffers[", ".state[")  # a model is kept whole, so that it can be exported


@dataclass
class _Range:
    """Bytes ``[start, stop)`` of a storage that one tensor or array spans."""

    number: int
    fields: dict[str, Any]
    start: int
    stop: int
    own_bytes: int
    shape: tuple[int, ...]
    dtype: str | None
    contiguous: bool


@dataclass
class _Storage:
    keep: Any
    read: Callable[[int, int], memoryview]
    tensor: torch.Tensor | None = None
    users: list[_Range] = field(default_factory=list)


@dataclass
class Constants:
    """Digests of bulk data by its path, as the script's set-up made it; lives as long as the process.

    Attributes:
        learning: the next snapshot stands at the head of the first training loop: learn from it.
    """

    digests: dict[str, str] = field(default_factory=dict)
    learning: bool = False


class Memory:
    """The storages of one snapshot.

    Args:
        path: names a node, for the blobs' names.
        raw_path: the same with the plumbing of modules in it.
        constants: bulk data that need not be stored.

    Attributes:
        steady: by their names, the blobs of tensors that change in an optimizer's step only.
    """

    def __init__(self, path: Callable[[int], str], raw_path: Callable[[int], str], constants: Constants) -> None:
        self._path = path
        self._raw_path = raw_path
        self._constants = constants
        self._storages: dict[tuple[str, int], _Storage] = {}
        self._arrays: list[np.ndarray[Any, Any]] = []
        self.steady: dict[str, Steady] = {}

    def tensor(self, value: torch.Tensor, number: int, fields: dict[str, Any]) -> None:
        """Note a strided tensor; its place is written to ``fields`` at once, its blob by `finish`."""
        value = value.detach()
        fields |= {"dtype": str(value.dtype), "shape": list(value.shape), "device": str(value.device)}
        fields |= {"conj": value.is_conj(), "neg": value.is_neg()}
        storage = value.untyped_storage()
        size = value.element_size()
        start, stop = _extent(int(value.storage_offset()) * size, value.shape, [s * size for s in value.stride()], size)
        fields["stride"] = [s * size for s in value.stride()]
        key = (str(value.device), storage.data_ptr()) if storage.nbytes() else ("empty", number)
        entry = self._storages.get(key)
        if entry is None:
            entry = self._storages[key] = _Storage(storage, lambda a, b: storage_bytes(storage, a, b), value)
        entry.users.append(
            _Range(
                number=number,
                fields=fields,
                start=start,
                stop=stop,
                own_bytes=value.numel() * size,
                shape=tuple(value.shape),
                dtype=SAFETENSORS_DTYPES.get(value.dtype),
                contiguous=value.is_contiguous(),
            )
        )

    def array(self, value: np.ndarray[Any, Any], number: int, fields: dict[str, Any]) -> None:
        """Note an ndarray without objects in it."""
        fields |= {"dtype": np.lib.format.dtype_to_descr(value.dtype), "shape": list(value.shape)}
        fields |= {"stride": list(value.strides), "writeable": bool(value.flags.writeable)}
        root = root_of(value)
        if min(value.strides, default=0) < 0 or not (root.flags.c_contiguous or root.flags.f_contiguous):
            root = value = np.ascontiguousarray(value)  # rare: its own copy, so that ranges stay simple
            self._arrays.append(value)
            fields["stride"] = list(value.strides)
        base = root.__array_interface__["data"][0]
        address = value.__array_interface__["data"][0]
        start, stop = _extent(address - base, value.shape, list(value.strides), value.itemsize)
        key = ("cpu", base) if root.nbytes else ("empty", number)
        entry = self._storages.get(key)
        if entry is None:
            entry = self._storages[key] = _Storage(root, lambda a, b: array_bytes(root)[a:b])
        entry.users.append(
            _Range(
                number=number,
                fields=fields,
                start=start,
                stop=stop,
                own_bytes=value.nbytes,
                shape=value.shape,
                dtype=_NUMPY_DTYPES.get(value.dtype.str[1:]) if value.dtype.isnative else None,
                contiguous=value.flags.c_contiguous,
            )
        )

    def finish(self, steady_at: Set[int]) -> dict[str, Blob]:
        """The blobs of all storages; fills ``blob`` and ``offset`` (bytes) into the users' fields.

        Args:
            steady_at: addresses of memory that only optimizers change, see `survivor.state.steady`.
        """
        blobs: dict[str, Blob] = {}
        for (_, address), entry in self._storages.items():
            first = entry.users[0]
            start = min(user.start for user in entry.users)
            stop = max(user.stop for user in entry.users)
            name = self._name(first.number, blobs)
            lone = len(entry.users) == 1
            if lone and stop - start > _GAP_FACTOR * first.own_bytes:
                blobs[name] = self._compact(name, first, entry)
                first.fields |= {"blob": name, "offset": 0, "stride": None}
                continue
            whole = next((u for u in entry.users if u.contiguous and (u.start, u.stop) == (start, stop)), None)
            dtype, shape = (whole.dtype, whole.shape) if whole else (None, ())
            data = entry.read(start, stop)
            digest = self._constant(name, first.number, data)
            if digest is not None:
                for user in entry.users:
                    user.fields |= {"blob": name, "offset": user.start - start, "constant": [digest, stop - start]}
                continue
            blobs[name] = Blob(name=name, dtype=dtype or "U8", shape=shape if dtype else (stop - start,), data=data)
            if lone and entry.tensor is not None and address in steady_at and data.nbytes >= LEAST_BYTES:
                self.steady[name] = Steady(entry.tensor)
            for user in entry.users:
                user.fields |= {"blob": name, "offset": user.start - start}
        return blobs

    def _constant(self, name: str, number: int, data: memoryview) -> str | None:
        known = self._constants.digests.get(name)
        if data.nbytes < _BULK_BYTES or (known is None and not self._constants.learning):
            return None
        if any(part in self._raw_path(number) for part in _WEIGHTS):
            return None
        digest = bulk_digest(data)
        if self._constants.learning:
            self._constants.digests[name] = known = digest
        return digest if digest == known else None

    def _compact(self, name: str, user: _Range, entry: _Storage) -> Blob:
        data = entry.read(user.start, user.stop)
        itemsize = user.own_bytes // max(1, _product(user.shape))
        strides = user.fields["stride"]
        view = np.lib.stride_tricks.as_strided(
            np.frombuffer(data, np.uint8), (*user.shape, itemsize), (*strides, 1), writeable=False
        )
        packed = memoryview(np.ascontiguousarray(view).reshape(-1).data)
        return Blob(
            name=name, dtype=user.dtype or "U8", shape=user.shape if user.dtype else (packed.nbytes,), data=packed
        )

    def _name(self, number: int, taken: dict[str, Blob]) -> str:
        path = self._path(number) or f"node{number}"
        name = path
        while name in taken:
            name = f"{path}#{len(taken)}"
        return name


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


def _extent(offset: int, shape: Any, strides: list[int], itemsize: int) -> tuple[int, int]:
    """First and one-past-last byte that a view of these (non-negative) byte strides touches."""
    if 0 in shape:
        return offset, offset
    return offset, offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + itemsize


def root_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array at the root of an array's views, whose memory it looks at."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    return root


def bulk_digest(data: Any) -> str:
    """The digest that constants are known by."""
    return str(xxhash.xxh3_128_hexdigest(data))


def storage_bytes(storage: torch.UntypedStorage, start: int, stop: int) -> memoryview:
    """Bytes of a torch storage; a view where it is in this machine's memory, else a copy.

    Not by ``numpy()``: that forbids the storage for good to be resized, and a script may do that.
    """
    if stop <= start:
        return memoryview(b"")
    if storage.device.type != "cpu":
        flat = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        return memoryview(flat[start:stop].cpu().numpy().data)
    buffer: Any = (ctypes.c_ubyte * (stop - start)).from_address(storage.data_ptr() + start)
    buffer.storage = storage  # the memory lives as long as somebody looks at it
    return memoryview(buffer).cast("B")


def array_bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """The bytes of a dense array, in the order of its memory."""
    flat = array.reshape(-1, order="A")
    return memoryview(flat.view(np.uint8).data if flat.dtype.itemsize else flat.data).cast("B")
