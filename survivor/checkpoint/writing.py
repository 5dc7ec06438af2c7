"""Writing a checkpoint: what is new goes into a pack, what is known is referred to, the manifest comes last.

Dead bytes. A pack can only go when no manifest needs it, so one small frozen tensor could keep a large dead
pack alive for ever. Rewriting packs in place does not work: manifests that name them are never written
again. Solution: a commit refers to an earlier pack only if it needs at least half of its bytes; otherwise
it writes those tensors again, into a pack of their own, apart from the tensors that just changed, so that
the next commit finds them settled. So no manifest ever names a pack that is mostly dead to it, and each
tensor is copied a few times at most until it lies among its like.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from survivor.checkpoint import manifest, pack
from survivor.checkpoint.manifest import BlobRef, Head, Manifest, PackRef
from survivor.checkpoint.names import PACKS, Stamp, new_stamp
from survivor.checkpoint.reading import manifest_file, pack_file, stored_digest
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import FormatError, StoreError
from survivor.store.base import Chunk, Store

#: A blob's dtype, shape and digest: equal keys are equal tensors.
Key = tuple[str, tuple[int, ...], str]
Kind = tuple[str, tuple[int, ...]]
#: Smaller ones are read twice all the same: they are still in the processor's cache.
_LATE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Everything that one commit is told; ``fence`` raises if the token is no longer the highest."""

    snapshot: Snapshot
    session: int
    stamp: Stamp
    origin: dict[str, Any]
    fence: Callable[[], None]


class Writer:
    """Writes packs and manifests, and remembers what lies where."""

    def __init__(self, store: Store, folder: str) -> None:
        """Know nothing yet; see ``learn``."""
        self._store = store
        self._folder = folder
        self._known: dict[Key, BlobRef] = {}
        self._own: set[Stamp] = set()
        self._seen: dict[str, Kind] = {}
        self._moving: dict[str, Kind] = {}
        self._compared: set[tuple[Stamp, int]] = set()
        self.unused: set[Stamp] = set()

    def learn(self, blobs: Iterable[BlobRef], *, compared: bool = False) -> None:
        """Take note of stored blobs, to be referred to; ``compared`` if their bytes were just verified."""
        for ref in blobs:
            self._known.setdefault((ref.dtype, ref.shape, ref.digest), ref)
            if compared:
                self._compared.add((ref.pack.stamp, ref.offset))

    def forget(self, packs: set[Stamp]) -> None:
        """Refer to these packs no more: they were removed or found damaged."""
        self._known = {key: ref for key, ref in self._known.items() if ref.pack.stamp not in packs}

    def write(self, commit: Commit) -> Manifest:
        """Make a snapshot durable and return its manifest.

        Raises:
            FormatError: the snapshot can't be written in this format; nothing was committed.
            StoreError: the store refused; nothing was committed.
        """
        try:
            return self._write(commit)
        except BaseException:
            # on a full disk the next attempt needs this room
            self._discard_unused()
            raise

    def _discard_unused(self) -> None:
        for stamp in sorted(self.unused):
            with contextlib.suppress(StoreError):
                self._store.delete(pack_file(self._folder, stamp))
                self.unused.discard(stamp)

    def _write(self, commit: Commit) -> Manifest:
        blobs = commit.snapshot.blobs
        for name, blob in blobs.items():
            _check(name, blob)
        # what is sure to be new is hashed as it is written: it need not be known before
        late = {name for name, blob in blobs.items() if self._moves(name, blob)}
        keys = {name: _key(blob, pack.digest(blob.data)) for name, blob in blobs.items() if name not in late}
        kept = self._referable(keys)
        fresh: dict[Key | str, Blob] = {name: blobs[name] for name in sorted(late)}
        settled: dict[Key | str, Blob] = {}
        for name, key in keys.items():
            if key not in kept:
                group = settled if key in self._known else fresh
                group.setdefault(key, blobs[name])
        commit.fence()
        places, written = dict(kept), 0
        for turn, group in enumerate((fresh, settled), start=1):
            if group:
                stamp = new_stamp(commit.stamp.token, commit.stamp.step, turn)
                refs = self._write_pack(stamp, group)
                written += next(iter(refs.values())).pack.size_bytes
                keys |= {name: _key(blobs[name], refs[name].digest) for name in late & refs.keys()}
                places |= {_key(blobs[name], ref.digest): ref for name, ref in refs.items()}
        made = self._write_manifest(commit, {name: places[keys[name]] for name in blobs}, written)
        # what was never seen before has not changed: a frozen base would be written a second time
        new = {name: _kind(blobs[name]) for name, key in keys.items() if key not in self._known}
        self._moving = {name: kind for name, kind in new.items() if self._seen.get(name) == kind}
        self._seen = {name: _kind(blob) for name, blob in blobs.items()}
        self._known.update({key: places[key] for key in keys.values() if key not in kept})
        return made

    def _moves(self, name: str, blob: Blob) -> bool:
        """Whether a large blob was seen to change from one commit to the next, so that it will be another one now."""
        return blob.data.nbytes >= _LATE_BYTES and self._moving.get(name) == _kind(blob)

    def _write_manifest(self, commit: Commit, refs: dict[str, BlobRef], written_bytes: int) -> Manifest:
        head = _head(commit, refs, written_bytes)
        data = manifest.write(head, refs, commit.snapshot.document)
        name = manifest_file(self._folder, commit.stamp)
        # what a reader would refuse must not be written
        made = manifest.read(commit.stamp, memoryview(data), name)
        # a pack may have taken minutes: look again before the commit counts
        commit.fence()
        # from here on the manifest may be there even if an error comes back: its packs are no garbage
        self.unused -= {ref.stamp for ref in head.packs}
        self._put(name, [data], len(data))
        return made

    def _write_pack(self, stamp: Stamp, group: dict[Key | str, Blob]) -> dict[str, BlobRef]:
        """Write a pack of these blobs; returns where each lies, by its name."""
        layout = pack.Layout(str(stamp), ((blob, "" if type(key) is str else key[2]) for key, blob in group.items()))
        self.unused.add(stamp)
        self._put(pack_file(self._folder, stamp), layout.file(), layout.size_bytes)
        self._own.add(stamp)
        ref = PackRef(stamp, layout.size_bytes, layout.header_bytes, pack.digest(layout.header()))
        return {
            blob.name: BlobRef(blob.dtype, blob.shape, ref, offset, blob.data.nbytes, layout.digest(blob))
            for blob, offset in zip(layout.blobs, layout.offsets, strict=True)
        }

    def _put(self, name: str, chunks: Iterable[Chunk], size_bytes: int) -> None:
        written = self._store.put(name, chunks)
        if written != size_bytes:
            raise StoreError(f"{name}: {written} bytes were written and not {size_bytes}")

    def _referable(self, keys: dict[str, Key]) -> dict[Key, BlobRef]:
        """Return the blobs that need not be written, because they lie in packs that are worth keeping."""
        found = {key: self._known[key] for key in keys.values() if key in self._known}
        used: dict[PackRef, int] = {}
        for ref in found.values():
            used[ref.pack] = used.get(ref.pack, 0) + ref.size_bytes
        sizes = self._pack_sizes() if used else {}
        good = {
            ref
            for ref, live in used.items()
            if sizes.get(str(ref.stamp)) == ref.size_bytes and 2 * live >= ref.size_bytes - ref.header_bytes
        }
        gone = {ref.stamp for ref in used if sizes.get(str(ref.stamp)) != ref.size_bytes}
        # what a listing does not show may be there all the same; writing it again is the safe side
        self.forget(gone)
        return {key: ref for key, ref in found.items() if ref.pack in good and self._is_intact(ref)}

    def _pack_sizes(self) -> dict[str, int]:
        entries = self._store.files(f"{self._folder}/{PACKS}")
        return {entry.name.rpartition("/")[2].removesuffix(pack.SUFFIX): entry.size_bytes for entry in entries}

    def _is_intact(self, ref: BlobRef) -> bool:
        """Compare, once, bytes that another process wrote: a checkpoint must not build on rotten ones."""
        place = (ref.pack.stamp, ref.offset)
        if ref.pack.stamp in self._own or place in self._compared:
            return True
        try:
            if stored_digest(self._store, self._folder, ref) != ref.digest:
                return False
        except StoreError:
            return False
        self._compared.add(place)
        return True


def _check(name: str, blob: Blob) -> None:
    where = f"blob {name[:80]!r}"
    pack.check_blob_name(name, where)
    if name != blob.name or len(blob.shape) > pack.DIMENSIONS_MAX:
        raise FormatError(f"{where} is called {blob.name!r} itself, or has too many dimensions")
    size = pack.size_bytes(blob.dtype, blob.shape, where)
    if blob.data.nbytes != size or blob.data.format != "B" or not blob.data.c_contiguous:
        raise FormatError(f"{where} has {blob.data.nbytes} bytes; a {blob.dtype} of {blob.shape} has {size}")


def _kind(blob: Blob) -> Kind:
    return blob.dtype, tuple(blob.shape)


def _key(blob: Blob, digest: str) -> Key:
    return blob.dtype, tuple(blob.shape), digest


def _head(commit: Commit, refs: dict[str, BlobRef], written_bytes: int) -> Head:
    return Head(
        stamp=commit.stamp,
        session=commit.session,
        position=commit.snapshot.position,
        time=time.time(),
        metrics=dict(commit.snapshot.metrics),
        origin=commit.origin,
        size_bytes=sum(ref.size_bytes for ref in refs.values()),
        written_bytes=written_bytes,
        count=len(refs),
        packs=tuple(sorted({ref.pack for ref in refs.values()}, key=lambda ref: ref.stamp)),
    )
