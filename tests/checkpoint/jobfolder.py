"""What the tests of the job folder share: snapshots that know their own content, and ways to break files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from survivor.checkpoint.reading import Checkpoint
from survivor.checkpoint.snapshot import Blob, Snapshot


def blob(name: str, data: bytes, dtype: str = "U8", shape: tuple[int, ...] | None = None) -> Blob:
    return Blob(name=name, dtype=dtype, shape=(len(data),) if shape is None else shape, data=memoryview(data))


def content(label: str, size_bytes: int) -> bytes:
    """Bytes that only ``label`` has."""
    return hashlib.shake_128(label.encode()).digest(size_bytes)


def snapshot(step: int, blobs: dict[str, bytes] | None = None, **fields) -> Snapshot:
    """A snapshot whose document holds the digests of its blobs, so that a mixed-up restore shows."""
    if blobs is None:
        blobs = {"frozen": content("frozen", 4000), "moving": content(f"moving {step}", 1000), "empty": b""}
    document = {"step": step, "sha": {name: hashlib.sha256(data).hexdigest() for name, data in blobs.items()}}
    made = {name: blob(name, data) for name, data in blobs.items()}
    fields.setdefault("position", f"batch {step}")
    return Snapshot(document=document, blobs=made, step=step, **fields)


def assert_exact(checkpoint: Checkpoint) -> None:
    """The checkpoint is one that ``snapshot`` made, to the last byte."""
    assert checkpoint.document["step"] == checkpoint.step
    seen = {name: hashlib.sha256(made.data).hexdigest() for name, made in checkpoint.blobs().items()}
    assert seen == checkpoint.document["sha"]


def files(folder: Path) -> list[Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
