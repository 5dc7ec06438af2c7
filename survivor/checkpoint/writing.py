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
from survivor.checkpoint.names import CHECKPOINTS, PACKS, Stamp, new_stamp
from survivor.checkpoint.reading import pack_file, stored_digest
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import FormatError, StoreError
from survivor.store.base import Store

#: A blob's dtype, shape and digest: equal keys are equal tensors.
Key = tuple[str, tuple[int, ...], str]


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
                self._store.delete(f"{self._folder}/{PACKS}/{stamp}{pack.SUFFIX}")
                self.unused.discard(stamp)

    def _write(self, commit: Commit) -> Manifest:
        keys = {name: _key(name, blob) for name, blob in commit.snapshot.blobs.items()}
        kept = self._referable(keys)
        fresh: dict[Key, Blob] = {}
        settled: dict[Key, Blob] = {}
        for name, key in keys.items():
            if key not in kept:
                group = settled if key in self._known else fresh
                group.setdefault(key, commit.snapshot.blobs[name])
        commit.fence()
        places = dict(kept)
        for turn, group in enumerate((fresh, settled), start=1):
            if group:
                stamp = new_stamp(commit.stamp.token, commit.stamp.step, turn)
                places.update(self._write_pack(stamp, group))
        written = sum(ref.size_bytes for ref in {places[key].pack for key in (*fresh, *settled)})
        refs = {name: places[key] for name, key in keys.items()}
        head = _head(commit, refs, written)
        data = manifest.write(head, refs, commit.snapshot.document)
        name = f"{self._folder}/{CHECKPOINTS}/{commit.stamp}{manifest.SUFFIX}"
        # what a reader would refuse must not be written
        made = manifest.read(commit.stamp, memoryview(data), name)
        # a pack may have taken minutes: look again before the commit counts
        commit.fence()
        # from here on the manifest may be there even if an error comes back: its packs are no garbage
        self.unused -= {ref.stamp for ref in head.packs}
        self._put(name, [data], len(data))
        self._known.update({key: places[key] for key in (*fresh, *settled)})
        return made

    def _write_pack(self, stamp: Stamp, group: dict[Key, Blob]) -> dict[Key, BlobRef]:
        layout = pack.lay_out(str(stamp), ((blob, key[2]) for key, blob in group.items()))
        ref = PackRef(stamp, layout.size_bytes, len(layout.header), pack.digest(layout.header))
        self.unused.add(stamp)
        self._put(pack_file(self._folder, ref), layout.chunks(), layout.size_bytes)
        self._own.add(stamp)
        offsets = {blob.name: offset for blob, offset in zip(layout.blobs, layout.offsets, strict=True)}
        return {
            key: BlobRef(blob.dtype, blob.shape, ref, offsets[blob.name], blob.data.nbytes, key[2])
            for key, blob in group.items()
        }

    def _put(self, name: str, chunks: Iterable[bytes | memoryview], size_bytes: int) -> None:
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


def _key(name: str, blob: Blob) -> Key:
    where = f"blob {name[:80]!r}"
    pack.check_blob_name(name, where)
    if name != blob.name or len(blob.shape) > pack.DIMENSIONS_MAX:
        raise FormatError(f"{where} is called {blob.name!r} itself, or has too many dimensions")
    size = pack.size_bytes(blob.dtype, blob.shape, where)
    if blob.data.nbytes != size or blob.data.format != "B" or not blob.data.c_contiguous:
        raise FormatError(f"{where} has {blob.data.nbytes} bytes; a {blob.dtype} of {blob.shape} has {size}")
    return blob.dtype, tuple(blob.shape), pack.digest(blob.data)


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
