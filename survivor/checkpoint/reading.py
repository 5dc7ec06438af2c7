"""Reading a checkpoint back, with every byte checked against its digest.

Neighbouring blobs are fetched together: ten thousand small tensors are a few reads, not ten thousand, which
is what makes a checkpoint on a network mount or in an object store readable in reasonable time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from survivor.checkpoint import manifest, pack
from survivor.checkpoint.manifest import BlobRef, Head, Manifest, PackRef
from survivor.checkpoint.names import CHECKPOINTS, PACKS, Stamp
from survivor.checkpoint.snapshot import Blob, Json
from survivor.errors import FormatError
from survivor.store.base import AbsentError, Store

_RUN_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """One checkpoint in a listing.

    Attributes:
        name: its unique name; names sort in the order of checkpoints.
        session: the session that wrote it.
        step: safe points passed since the job began.
        position: the loop stack in words.
        time: seconds since 1970, by the writer's clock.
        size_bytes: bytes of all its tensors.
        new_bytes: bytes that were not in an earlier pack and had to be written.
        metrics: what was reported up to then.
        origin: the environment that wrote it.
        good: True if every byte was read or has just been written, False if it is damaged, None if only
            its manifest and the sizes of its packs were looked at.
        why: what is wrong with it, where ``good`` is False.
    """

    name: str
    session: int = 0
    step: int = 0
    position: str = ""
    time: float = 0.0
    size_bytes: int = 0
    new_bytes: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    good: bool | None = None
    why: str = ""


def describe(head: Head, good: bool | None, why: str = "") -> CheckpointInfo:
    """Return the listing's line for a manifest."""
    return CheckpointInfo(
        name=str(head.stamp),
        session=head.session,
        step=head.stamp.step,
        position=head.position,
        time=head.time,
        size_bytes=head.size_bytes,
        new_bytes=head.written_bytes,
        metrics=dict(head.metrics),
        origin=dict(head.origin),
        good=good,
        why=why,
    )


class Checkpoint:
    """A checkpoint open for reading. Its bytes are verified whenever they are read, not once."""

    def __init__(self, store: Store, folder: str, manifest: Manifest) -> None:
        """Parse the manifest's body; raises ``FormatError``."""
        self._store = store
        self._folder = folder
        self._manifest = manifest
        self._refs, self._document = manifest.body()
        self._loaded: dict[str, memoryview] = {}
        self.info = describe(manifest.head, None)

    @property
    def document(self) -> Json:
        """The snapshot's document."""
        return self._document

    @property
    def step(self) -> int:
        """Safe points passed since the job began."""
        return self.info.step

    @property
    def position(self) -> str:
        """The loop stack in words."""
        return self.info.position

    @property
    def metrics(self) -> dict[str, float]:
        """What was reported up to then."""
        return self.info.metrics

    @property
    def refs(self) -> Mapping[str, BlobRef]:
        """Where each blob lies."""
        return self._refs

    def blob(self, name: str) -> Blob:
        """Read one blob into fresh, writable memory of its own.

        Raises:
            KeyError: the checkpoint has no such blob.
            FormatError: its bytes are not those that were committed.
            StoreError: the store can't be read.
        """
        ref = self._refs[name]
        # handed out once: two tensors made from one memory would change together
        data = self._loaded.pop(name, None)
        if data is None:
            data = self._store.get(pack_file(self._folder, ref.pack.stamp), ref.offset, ref.size_bytes)
            self._match(name, ref, pack.digest(data))
        return Blob(name=name, dtype=ref.dtype, shape=ref.shape, data=data)

    def blobs(self) -> Mapping[str, Blob]:
        """Return all blobs by name; each is read when it is looked up."""
        return _Blobs(self)

    def load(self) -> None:
        """Read and verify every byte, and keep the blobs in memory for ``blob``; raises as ``blob`` does."""
        loaded: dict[str, memoryview] = {}
        self.check_packs(headers=True)
        for run in self._runs():
            self._load_run(run, loaded)
        self._loaded = loaded

    def verify(self) -> None:
        """Read and verify every byte without keeping it; raises as ``blob`` does."""
        self.check_packs(headers=True)
        for run in self._runs():
            if len(run) == 1:
                name, ref = run[0]
                self._match(name, ref, stored_digest(self._store, self._folder, ref))
            else:
                self._load_run(run, {})

    def check_packs(self, *, headers: bool) -> None:
        """Raise ``FormatError`` unless every pack is there with its length, and its header where asked."""
        check_packs(self._store, self._folder, self._manifest.head.packs, headers=headers)

    def _runs(self) -> Iterator[list[tuple[str, BlobRef]]]:
        """Yield blobs that lie together, in the order of the packs, up to ``_RUN_BYTES`` at once."""
        items = sorted(self._refs.items(), key=lambda item: (item[1].pack.stamp, item[1].offset))
        run: list[tuple[str, BlobRef]] = []
        for name, ref in items:
            start = run[0][1] if run else ref
            near = ref.pack == start.pack and ref.offset + ref.size_bytes - start.offset <= _RUN_BYTES
            if run and not near:
                yield run
                run = []
            run.append((name, ref))
        if run:
            yield run

    def _load_run(self, run: list[tuple[str, BlobRef]], loaded: dict[str, memoryview]) -> None:
        first = run[0][1]
        length = max(ref.offset + ref.size_bytes for _, ref in run) - first.offset
        memory = self._store.get(pack_file(self._folder, first.pack.stamp), first.offset, length)
        taken = -1
        for name, ref in run:
            start = ref.offset - first.offset
            data = memory[start : start + ref.size_bytes]
            self._match(name, ref, pack.digest(data))
            # two blobs of equal bytes lie in one place; as tensors they must not share memory
            loaded[name] = data if start > taken else memoryview(bytearray(data))
            taken = max(taken, start + ref.size_bytes - 1)

    def _match(self, name: str, ref: BlobRef, seen: str) -> None:
        if seen != ref.digest:
            place = pack_file(self._folder, ref.pack.stamp)
            raise FormatError(
                f"{place} was changed after it was written: blob {name[:80]!r} is not what it was"
            )


class _Blobs(Mapping[str, Blob]):
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def __getitem__(self, name: str) -> Blob:
        return self._checkpoint.blob(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkpoint.refs)

    def __len__(self) -> int:
        return len(self._checkpoint.refs)


def pack_file(folder: str, stamp: Stamp) -> str:
    """Return the name of a pack's file."""
    return f"{folder}/{PACKS}/{stamp}{pack.SUFFIX}"


def manifest_file(folder: str, checkpoint: Stamp | str) -> str:
    """Return the name of a checkpoint's manifest."""
    return f"{folder}/{CHECKPOINTS}/{checkpoint}{manifest.SUFFIX}"


def stored_digest(store: Store, folder: str, ref: BlobRef) -> str:
    """Return the digest of a blob as it lies in its pack, reading a part at a time; raises ``StoreError``."""
    state = xxhash.xxh3_128()
    for done in range(0, ref.size_bytes, _RUN_BYTES):
        length = min(_RUN_BYTES, ref.size_bytes - done)
        state.update(store.get(pack_file(folder, ref.pack.stamp), ref.offset + done, length))
    return state.hexdigest()


def check_packs(
    store: Store,
    folder: str,
    packs: Iterable[PackRef],
    *,
    headers: bool,
    sizes: dict[Stamp, int] | None = None,
) -> None:
    """Raise ``FormatError`` for the first pack that is missing, or not as long as its manifest says.

    Args:
        store: where to look.
        folder: the job folder.
        packs: what a manifest names.
        headers: also compare the headers with their digests.
        sizes: lengths seen before, by pack; what is looked up is added.
    """
    sizes = {} if sizes is None else sizes
    for ref in packs:
        name = pack_file(folder, ref.stamp)
        try:
            size = sizes[ref.stamp] = sizes[ref.stamp] if ref.stamp in sizes else store.size(name)
            if size != ref.size_bytes:
                raise FormatError(f"{name} has {size} bytes and not {ref.size_bytes}")
            if headers and pack.digest(store.get(name, 0, ref.header_bytes)) != ref.digest:
                raise FormatError(f"{name} was changed after it was written: its header is not what it was")
        except AbsentError as error:
            raise FormatError(f"{name} is missing") from error
