"""``survivor check``: read every byte of a job folder once, and say of each file whether it is what it
should be.

Packs are read by what their own headers say, so that bytes which no manifest needs any more are looked at
too, and bytes that many manifests share are read once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from survivor.checkpoint import envelope, manifest, pack
from survivor.checkpoint.manifest import BlobRef, PackRef
from survivor.checkpoint.names import CHECKPOINTS, JOB, LEASES, PACKS, SESSIONS, Stamp, leaf, parse_stamp
from survivor.checkpoint.reading import CheckpointInfo, describe, pack_file, stored_digest
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, NewerFormatError, StoreError
from survivor.store.base import Entry, Store

#: What the ending of a file's name says about the kind of its envelope.
_KINDS = {
    JOB: {"": "job"},
    SESSIONS: {"": "session", ".end": "session-end"},
    LEASES: {"": "lease", ".beat": "lease-beat", ".end": "lease-end"},
}

_DIGITS = {JOB: 6, SESSIONS: 6, LEASES: 8}


@dataclass(frozen=True)
class Finding:
    """A file that is not what it should be, and why."""

    file: str
    why: str


@dataclass
class Checked:
    """What was found.

    Attributes:
        checkpoints: all of them, oldest first; ``good`` is True or False.
        findings: damaged files.
        leftovers: files that nothing needs: from writes that were cut off, or not survivor's.
        files: how many files were read.
        read_bytes: how many bytes were read.
    """

    checkpoints: list[CheckpointInfo] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    files: int = 0
    read_bytes: int = 0


def check_job(repository: Repository, progress: Callable[[str], None] = lambda file: None) -> Checked:
    """Read everything in a job folder; ``progress`` is called with the name of each file.

    Raises:
        NewerFormatError: a newer survivor wrote here.
        StoreError: the folder can't be listed.
    """
    return _Check(repository.store, repository.job, progress).run()


class _Check:
    def __init__(self, store: Store, folder: str, progress: Callable[[str], None]) -> None:
        self._store, self._folder, self._progress = store, folder, progress
        self._result = Checked()
        self._packs: dict[Stamp, tuple[PackRef, dict[int, pack.Entry]]] = {}
        self._why: dict[Stamp, str] = {}
        self._stamps: list[Stamp] = []

    def run(self) -> Checked:
        for place in (JOB, SESSIONS, LEASES):
            for entry in self._files(place, ".json"):
                self._guard(entry, self._check_record, place)
        for entry in self._files(PACKS, pack.SUFFIX):
            self._guard(entry, self._check_pack, PACKS)
        needed: set[Stamp] = set()
        for entry in self._files(CHECKPOINTS, manifest.SUFFIX):
            self._result.checkpoints.append(self._check_manifest(entry, needed))
        self._check_numbers()
        unneeded = [stamp for stamp in self._packs if stamp not in needed]
        self._result.leftovers += [pack_file(self._folder, stamp) for stamp in sorted(unneeded)]
        return self._result

    def _check_numbers(self) -> None:
        """Find records that must have been there: they are numbered from 1 and never removed."""
        seen = {place: self._numbers(place) for place in _KINDS}
        # a repository that is used without sessions has none of these
        if seen[SESSIONS] or seen[LEASES]:
            seen[SESSIONS] |= {-max((info.session for info in self._result.checkpoints), default=0)}
            seen[LEASES] |= {-max((stamp.token for stamp in self._stamps), default=0)}
        for place, numbers in seen.items():
            for number in range(1, max(map(abs, numbers), default=0) + 1):
                if number not in numbers:
                    digits = f"{number:0{_DIGITS[place]}d}"
                    name = f"{self._folder}/{place}/{digits}{'-*' if place == JOB else ''}.json"
                    self._result.findings.append(Finding(name, "is missing"))

    def _numbers(self, place: str) -> set[int]:
        names = (leaf(entry.name) for entry in self._store.files(f"{self._folder}/{place}"))
        found = (re.fullmatch(r"(\d+)(-[0-9a-f]{8})?\.json", name) for name in names)
        return {int(match[1]) for match in found if match}

    def _files(self, place: str, suffix: str) -> Iterator[Entry]:
        for entry in sorted(self._store.files(f"{self._folder}/{place}"), key=lambda entry: entry.name):
            stem = leaf(entry.name).removesuffix(suffix)
            named = place not in (PACKS, CHECKPOINTS) or parse_stamp(stem) is not None
            if not entry.name.endswith(suffix) or not named:
                self._result.leftovers.append(entry.name)
                continue
            self._progress(entry.name)
            self._result.files += 1
            self._result.read_bytes += entry.size_bytes
            yield entry

    def _guard(self, entry: Entry, check: Callable[[Entry, str], None], place: str) -> None:
        try:
            check(entry, place)
        except NewerFormatError:
            raise
        except StoreError as error:
            self._result.findings.append(Finding(entry.name, str(error)))

    def _check_record(self, entry: Entry, place: str) -> None:
        stem = leaf(entry.name).removesuffix(".json")
        kinds = _KINDS[place]
        kind = next((kinds[ending] for ending in kinds if ending and stem.endswith(ending)), kinds[""])
        envelope.unseal(kind, stem, self._store.get(entry.name), entry.name).body()

    def _check_pack(self, entry: Entry, _: str) -> None:
        stamp = parse_stamp(leaf(entry.name).removesuffix(pack.SUFFIX))
        assert stamp is not None
        try:
            size = self._store.size(entry.name)
            length = pack.header_bytes(self._store.get(entry.name, 0, min(8, size)), entry.name)
            header = self._store.get(entry.name, 0, min(length, size))
            ref = PackRef(stamp, size, length, pack.digest(header))
            tensors = pack.read_header(str(stamp), header, size, entry.name)
            for name, tensor in tensors.items():
                place = BlobRef(tensor.dtype, tensor.shape, ref, tensor.offset, tensor.size_bytes, tensor.digest)
                if stored_digest(self._store, self._folder, place) != tensor.digest:
                    raise FormatError(f"{entry.name} was changed after it was written: {name[:80]!r}")
        except StoreError as error:
            self._why[stamp] = str(error)
            raise
        self._packs[stamp] = ref, {tensor.offset: tensor for tensor in tensors.values() if tensor.size_bytes}

    def _check_manifest(self, entry: Entry, needed: set[Stamp]) -> CheckpointInfo:
        stamp = parse_stamp(leaf(entry.name).removesuffix(manifest.SUFFIX))
        assert stamp is not None
        self._stamps.append(stamp)
        info = CheckpointInfo(name=str(stamp), step=stamp.step)
        try:
            read = manifest.read(stamp, self._store.get(entry.name), entry.name)
            info = describe(read.head, None)
            needed.update(ref.stamp for ref in read.head.packs)
            refs, _ = read.body()
            for ref in read.head.packs:
                self._match_pack(ref)
            for name, blob in refs.items():
                self._match_blob(name, blob)
        except NewerFormatError:
            raise
        except StoreError as error:
            self._result.findings.append(Finding(entry.name, str(error)))
            return replace(info, good=False, why=str(error))
        return replace(info, good=True)

    def _match_pack(self, ref: PackRef) -> None:
        place = pack_file(self._folder, ref.stamp)
        if ref.stamp not in self._packs:
            raise FormatError(self._why.get(ref.stamp) or f"{place} is missing")
        if self._packs[ref.stamp][0] != ref:
            raise FormatError(f"{place} is not the pack that was committed")

    def _match_blob(self, name: str, blob: BlobRef) -> None:
        stored = self._packs[blob.pack.stamp][1].get(blob.offset)
        if blob.size_bytes and (stored is None or (stored.digest, stored.size_bytes) != (blob.digest, blob.size_bytes)):
            raise FormatError(f"{pack_file(self._folder, blob.pack.stamp)} does not hold {name[:80]!r}")
