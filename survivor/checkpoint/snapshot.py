"""A snapshot: the state of a training process at one safe point, in a form that needs no torch to store.

The child makes it, the repository stores it, and a later child gets it back. ``document`` is pure
JSON (the child has encoded everything else before); the bytes of tensors and of other bulk data
travel beside it as blobs, which the document refers to by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

#: What ``json.dumps`` takes: dict with str keys, list, str, int (64-bit), float (finite), bool, None.
Json = Any


class Frozen(bytearray):
    """Bytes that do not change while anybody may need them; filled once more they are others, by another mark."""

    mark: object = None

    def filled(self, data: memoryview) -> memoryview:
        """Take a copy of as many bytes; returns a view of it."""
        view = memoryview(self)
        view[:] = data
        self.mark = object()
        return view.toreadonly()


def mark_of(data: memoryview) -> object | None:
    """What tells unchangeable bytes from all others, if these are such; whole ones only."""
    owner = data.obj
    if not isinstance(owner, bytes | Frozen) or len(owner) != data.nbytes:
        return None
    return owner.mark if isinstance(owner, Frozen) else owner


@dataclass(frozen=True, kw_only=True)
class Blob:
    """The bytes of one tensor.

    Attributes:
        name: unique within its snapshot.
        dtype: a safetensors dtype name (``F32``, ``BF16``, ``I64``, ``U8`` …).
        shape: dimensions; the product times the dtype's size is ``len(data)``.
        data: C-contiguous little-endian bytes, as a flat byte view (``format == "B"``).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Steadiness(Protocol):
    """Tells of some memory whether it still is as it was, and where it begins."""

    @property
    def held(self) -> bool: ...  # noqa: D102
    @property
    def address(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One safe point's state.

    Attributes:
        document: JSON value; names blobs by their ``name``.
        blobs: name to blob.
        step: safe points passed since the job began: orders the checkpoints of a job.
        position: the loop stack in words for people, e.g. ``"epoch 3, batch 17"``.
        metrics: what ``survivor.report`` was last given, by name.
        steady: names of blobs that lie in memory which does not change for a while, as far as is known, and what tells
            later whether that was so.
    """

    document: Json
    blobs: dict[str, Blob]
    step: int
    position: str
    metrics: dict[str, float] = field(default_factory=dict)
    steady: Mapping[str, Steadiness] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.data.nbytes for blob in self.blobs.values())
