"""``survivor resume``: a job's command line, script and modules come out of its folder.

The texts in a job folder are as trustworthy as whoever can write there. So they are put into a fresh folder
that is shown, with their digests, and run only when the user agrees; nothing else of the folder is run.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from survivor.checkpoint.job import JobRecord
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, StoreError, UsageError
from survivor.store import open_store
from survivor.store.base import Store
from survivor.supervisor import sources
from survivor.supervisor.places import default_store


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to be run.

    Attributes:
        store: place of the job folders.
        job: name of the job.
        record: what the folder says.
        root: folder that the sources lie in.
        args: the program's arguments on this machine.
        in_place: the sources were found unchanged where they were recorded; nothing was copied.
    """

    store: str
    job: str
    record: JobRecord
    root: Path
    args: tuple[str, ...]
    in_place: bool

    @property
    def is_module(self) -> bool:
        """Whether the program is run as ``python -m`` does."""
        return self.record.argv[:1] == ("-m",)

    @property
    def target(self) -> str:
        """What is run: a path, or a module's name."""
        return self.record.argv[1] if self.is_module else str(self.root / script_name(self.record))


def script_name(record: JobRecord) -> str:
    """The script's own name, without a folder."""
    return PurePosixPath(record.argv[0]).name


def find(folder: str) -> tuple[str, str, JobRecord]:
    """The store, the name and the record of the job whose folder this is.

    Raises:
        UsageError: there is no job, or it is one that a folder alone can't continue.
        StoreError: the folder can't be read.
    """
    folder = folder.rstrip("/") if "://" in folder else os.path.abspath(folder)
    place, _, job = folder.rpartition("/")
    store = open_store(place or "/")
    record = JobRecord.read(Repository(store, job)) if job in store.folders("") else None
    if record is None:
        raise UsageError(f"there is no job in {folder!r}", advice=_advice(folder, store, job))
    if record.argv[:1] == ("@survivable",):
        raise UsageError(
            f"job {job!r} is a call of a function, {record.argv[1] if record.argv[1:] else '?'}",
            advice="run the script or the notebook that calls it again, with the same store",
        )
    if not record.argv or not record.source:
        raise UsageError(f"the folder of job {job!r} holds no source text", advice="use survivor run")
    return place or "/", job, record


def lay_out(store: str, job: str, record: JobRecord, changes: Sequence[str]) -> Plan:
    """Put the sources where they can be run, and apply ``ARG=VALUE`` changes to the arguments.

    Raises:
        UsageError: a change names no argument.
        FormatError: a module's path leads out of the folder.
    """
    is_module = record.argv[:1] == ("-m",)
    args = changed_arguments(record.argv[2 if is_module else 1 :], changes)
    there = Path(record.folder if is_module else os.path.dirname(record.script) or "/")
    files = texts(record)
    if all(_same(there / name, text) for name, text in files.items()):
        return Plan(store=store, job=job, record=record, root=there, args=args, in_place=True)
    root = Path(tempfile.mkdtemp(prefix=f"survivor-{job}-"))
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Plan(store=store, job=job, record=record, root=root, args=args, in_place=False)


def texts(record: JobRecord) -> dict[str, str]:
    """Source text by relative path, the script among them.

    Raises:
        FormatError: a path leads out of the folder.
    """
    own = {} if record.argv[:1] == ("-m",) else {script_name(record): record.source}
    files = {**record.modules, **own}
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or (not name.endswith(".py") and name not in own):
            raise FormatError(f"the job's record names {name[:200]!r} as a module: that is no path of one")
    return files


def digest(text: str) -> str:
    """The beginning of a text's SHA-256, for people."""
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:16]


def changed_arguments(args: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    """The arguments with each ``NAME=VALUE`` put in: ``--NAME``'s value, or word number ``NAME``, from 1.

    Raises:
        UsageError: there is no such argument.
    """
    words = list(args)
    for change in changes:
        name, found, value = change.partition("=")
        if not found or not _put(words, name.lstrip("-"), value):
            options = [word.partition("=")[0] for word in words if word.startswith("--")]
            raise UsageError(
                f"--set {change!r}: the job has no argument of that name",
                advice=f"ARG=VALUE with ARG one of: {', '.join([*options, *map(str, range(1, len(words) + 1))])}",
            )
    return tuple(words)


def _advice(folder: str, store: Store, job: str) -> str:
    """What to type where a folder holds no job: the place may be a store, a store's parent, or a job's mere name."""
    usual = open_store(default_store())
    for place, names in ((open_store(folder), ()), (store, ()), (usual, (job,)), (usual, ())):
        jobs = [name for name in sorted(names or _folders(place)) if _is_job(place, name)]
        if jobs:
            where = place.describe().rstrip("/")
            commands = [shlex.join(["survivor", "resume", f"{where}/{name}"]) for name in jobs[:20]]
            return "name a job's folder: " + ("" if len(jobs) == 1 else "one of\n  ") + "\n  ".join(commands)
    return "name a job's folder: the one with 'job', 'checkpoints' and 'packs' in it, below the store"


def _folders(place: Store) -> list[str]:
    try:
        return place.folders("")
    except StoreError:
        return []


def _is_job(place: Store, name: str) -> bool:
    try:
        return JobRecord.read(Repository(place, name)) is not None
    except StoreError:
        return True  # one that is damaged
    except UsageError:
        return False  # a name that no job can have


def _put(words: list[str], name: str, value: str) -> bool:
    if name.isdecimal() and 1 <= int(name) <= len(words):
        words[int(name) - 1] = value
        return True
    for index, word in enumerate(words):
        option, has_value, _ = word.partition("=")
        if option.startswith("-") and option.lstrip("-") == name:
            if has_value:
                words[index] = f"{option}={value}"
            elif index + 1 < len(words):
                words[index + 1] = value
            return bool(has_value) or index + 1 < len(words)
    return False


def missing(plan: Plan, cwd: str) -> list[str]:
    """What this machine lacks, one line each: packages, and data that the script read elsewhere."""
    found = sources.missing_packages([plan.record.source, *plan.record.modules.values()], texts(plan.record))
    lines = [f"package {name}: pip install {name}" for name in found]
    for path in inputs_of(plan):
        here = _on_this_machine(path, plan, cwd)
        if not os.path.exists(here):
            lines.append(f"data {here}" + (f" (it was {path} there)" if here != path else ""))
    return lines


def inputs_of(plan: Plan) -> list[str]:
    """The paths that the script had read by its newest checkpoint."""
    repository = Repository(open_store(plan.store), plan.job)
    for info in reversed(repository.list()):
        if info.good is not False:
            document = repository.open_checkpoint(info.name).document
            files = document.get("files", {}) if isinstance(document, dict) else {}
            names = files.get("inputs", []) if isinstance(files, dict) else []
            return [name for name in names if isinstance(name, str)]
    return []


def _on_this_machine(path: str, plan: Plan, cwd: str) -> str:
    """Where a path of the recording machine is looked for on this one."""
    is_module = plan.is_module
    old_args = plan.record.argv[2 if is_module else 1 :]
    for old, new in zip(old_args, plan.args, strict=True):
        before, now = old.rpartition("=")[2], new.rpartition("=")[2]
        if old != new and before:
            full = os.path.normpath(os.path.join(plan.record.folder, before))
            if path == full or path.startswith(full + "/"):
                return os.path.normpath(os.path.join(cwd, now)) + path[len(full) :]
    pairs = [(plan.record.folder, cwd)]
    if plan.record.script:
        pairs.append((os.path.dirname(plan.record.script), str(plan.root)))
    for before, now in pairs:
        if before and path.startswith(before.rstrip("/") + "/"):
            return now + path[len(before.rstrip("/")) :]
    return path


def _same(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8", errors="replace") == text
    except OSError:
        return False
