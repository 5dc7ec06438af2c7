"""The files that a script writes: kept as they were, while the way to the checkpoint is run again.

A resumed session runs the script's beginning a second time. What that writes stands on the disk already,
and may have grown or been replaced since: opening the log with ``"w"`` again would destroy it. So, during
the replay, what the script writes goes to shadow files, what it removes stays, and folders that the job
made may be made again. When the replay ends, files that are still open are switched to the real ones, cut
back to the length they had at the checkpoint, and the script goes on writing there. A file that is opened
to append later is cut back first, so that no line stands in it twice.

The lengths come from the checkpoint, the paths never do: only a file that the script itself opens is cut.

Only paths below the working folder, the script's folder, or opened by the user's own code are minded; what
libraries keep in caches is theirs. Bytes that C code writes to a path by itself are not seen.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.state import readers
from survivor.state.scope import Scope
from survivor.training import attachments, inputs
from survivor.training.carry import Carrier
from survivor.training.ending import opened_to_write

_WRITING = frozenset("wax+")
_MOST_FILES = 500
_OPEN_PARAMETERS = ("buffering", "encoding", "errors", "newline", "closefd", "opener")
_TEXT_OPTIONS = frozenset(_OPEN_PARAMETERS[:4])
_NO_FILES = re.compile("/(dev(?!/shm/)|proc|sys)/")
_real_open = builtins.open


class Files:
    """Watches what the script writes; one per process.

    Args:
        scope: tells the user's code and folder.
        warn: tells the user a line of warning.
        note: tells the user a line.

    Attributes:
        made_folder: called when the script has made a folder.
    """

    def __init__(
        self,
        scope: Scope,
        warn: Callable[[str], None] = lambda _: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._scope = scope
        self._home = Path.cwd()  # a script may go elsewhere
        self._carrier = Carrier(scope.root, self._home, warn, note)
        self._pid = os.getpid()
        self._written: dict[str, weakref.ref[Any] | None] = {}
        self._made: set[str] = set()
        self._to_be_made: set[str] = set()
        self._checkpoint_time: float | None = None
        self._shadows: dict[str, str] = {}
        self._replayed: list[tuple[weakref.ref[Any], str, str]] = []
        self._lengths: dict[str, int] = {}
        self._saved: dict[str, Any] = {}
        self._blobs: Mapping[str, Blob] = {}
        self._folder: str | None = None  # of the shadow files; set during a replay only
        self._inside = ""  # what lies elsewhere is written to shadow files for good
        self._kept_folder = ""
        self._real_mkdir = os.mkdir
        self._real_save = torch.save
        self.made_folder: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Watch ``open``, ``os.mkdir`` and what removes or renames files, in this process."""
        attachments.add(self._attach)
        builtins.open = io.open = self._open
        os.mkdir = self._mkdir
        torch.save = self._save
        for name in ("remove", "unlink", "rmdir", "rename", "replace", "truncate", "chmod", "utime"):
            setattr(os, name, self._kept_from(getattr(os, name)))
        for name in ("symlink", "link"):
            setattr(os, name, self._linking(getattr(os, name)))
        shutil.rmtree = self._kept_from(shutil.rmtree)
        shutil.move = self._kept_from(shutil.move)

    def keep_inside(self, folder: str) -> None:
        """Write nothing outside of a folder, now or later: this process checks a checkpoint of a job that runs."""
        self._inside = folder.rstrip(os.sep) + os.sep

    # --- for checkpoints ------------------------------------------------------------------------

    def lengths(self) -> dict[str, Any]:
        """The length in bytes of each file that the script has opened for writing, and the folders it made."""
        found: dict[str, int] = {}
        for path, reference in list(self._written.items())[:_MOST_FILES]:
            file = reference() if reference is not None else None
            if file is not None and not file.closed:
                with contextlib.suppress(OSError, ValueError):
                    file.flush()
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_size
        own = {*self._written, *self._lengths, *self._made}
        return {
            "time": time.time(),
            "bases": [str(self._home), str(self._scope.root)],
            "lengths": found,
            "folders": sorted(self._made)[:_MOST_FILES],
            "inputs": [path for path in inputs.read_so_far() if path not in own],
        }

    def _attach(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the contents of the files."""
        entries, blobs = self._carrier.collect(self._written)
        files = snapshot.document["files"] | {"contents": entries}
        return replace(snapshot, document=snapshot.document | {"files": files}, blobs=snapshot.blobs | blobs)

    def begin_replay(self, saved: dict[str, Any], blobs: Mapping[str, Blob]) -> None:
        """From now on the script's writing is a repetition."""
        here = self._relocator(saved.get("bases"))
        self._saved, self._blobs = saved, blobs
        self._lengths = {here(path): length for path, length in saved["lengths"].items()}
        self._made = {here(path) for path in saved["folders"]}
        self._to_be_made = set(self._made)
        self._checkpoint_time = saved["time"]
        self._folder = tempfile.mkdtemp(prefix="survivor-replay-")

    def end_replay(self) -> None:
        """The script writes for real again; files that are open continue where they stood."""
        if self._folder is None:
            return
        folder, self._folder = self._folder, None
        # what the job has written by now is still its own: the next checkpoint knows of it too
        self._written.update(dict.fromkeys(self._lengths))
        self._carrier.put_back(self._saved.get("contents"), self._blobs, self._saved["time"])
        self._blobs = {}
        for reference, path, mode in self._replayed:
            file = reference()
            if file is not None and not file.closed and not self._is_shadowed(path):
                self._switch(file, path, mode)
        self._replayed.clear()
        if self._inside:  # the process ends soon, and its temporary folder goes with it
            self._kept_folder = folder
            return
        self._shadows.clear()
        shutil.rmtree(folder, ignore_errors=True)

    def _relocator(self, bases: Any) -> Callable[[str], str]:
        """What tells a recorded path's place on this machine, whose working folder may be another."""
        pairs = list(zip(bases or [], (str(self._home), str(self._scope.root)), strict=False))

        def here(path: str) -> str:
            for before, now in pairs:
                if path == before or path.startswith(before.rstrip("/") + "/"):
                    return now + path[len(before) :]
            return path

        return here

    def _switch(self, file: Any, path: str, mode: str) -> None:
        file.flush()
        flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if "a" in mode else 0)
        fd = os.open(path, flags, 0o666)
        try:
            length = self._lengths.pop(path, None)
            if length is None:  # not there when the checkpoint was made: the repetition is the first writing
                with _real_open(self._shadows[path], "rb") as shadow:
                    os.ftruncate(fd, 0)
                    os.write(fd, shadow.read())
            elif os.fstat(fd).st_size > length:
                os.ftruncate(fd, length)
            os.dup2(fd, file.fileno(), inheritable=False)
        finally:
            os.close(fd)
        with contextlib.suppress(OSError, ValueError):
            file.seek(0, os.SEEK_END)
        self._written[path] = reference_to(file)

    # --- in place of the originals --------------------------------------------------------------

    def _open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        reads = not _WRITING & set(mode)
        if reads:
            inputs.saw(file)
        else:
            opened_to_write()
        path = None
        if os.getpid() == self._pid and not (reads and self._folder is None):
            path = self._minded(file, sys._getframe(1))
        if reads:
            found = file if path is None else self._shadows.get(path, file)
            return self._open_to_read(found, mode, args, kwargs, sys._getframe(1))
        if path is None:
            return _real_open(file, mode, *args, **kwargs)
        if self._is_shadowed(path):
            shadow = self._shadow(path, keep="w" not in mode and "x" not in mode)
            opened = _real_open(shadow, mode.replace("x", "w"), *args, **kwargs)
            self._replayed.append((reference_to(opened), path, mode))
            return opened
        if "w" not in mode and "x" not in mode:
            self._cut(path)
        opened = _real_open(file, mode, *args, **kwargs)
        self._written.pop(path, None)
        self._written[path] = reference_to(opened)
        return opened

    def _open_to_read(self, file: Any, mode: str, args: Any, kwargs: Any, frame: Any) -> Any:
        """A file to read; one that tells its position where the user's code reads text."""
        if frame.f_code.co_filename == pathlib.Path.open.__code__.co_filename:
            frame = frame.f_back
        theirs = frame is not None and frame.f_code.co_filename in self._scope.files
        options = dict(zip(_OPEN_PARAMETERS, args, strict=False)) | kwargs
        if not theirs or "b" in mode or not isinstance(file, (str, os.PathLike)) or not options.keys() <= _TEXT_OPTIONS:
            return _real_open(file, mode, *args, **kwargs)
        if options.pop("buffering", -1) != -1:
            return _real_open(file, mode, *args, **kwargs)
        return readers.open_text(_real_open(file, "rb"), mode, **options)

    def _cut(self, path: str) -> None:
        """Take back what was appended after the checkpoint."""
        length = self._lengths.pop(path, None)
        if length is not None and os.path.isfile(path) and os.path.getsize(path) > length:
            with _real_open(path, "r+b") as stream:
                stream.truncate(length)

    def _shadow(self, path: str, *, keep: bool) -> str:
        folder = self._folder or self._kept_folder
        shadow = self._shadows.get(path)
        if shadow is None:
            shadow = os.path.join(folder, f"{len(self._shadows)}-{os.path.basename(path)}")
            if keep and os.path.isfile(path):
                shutil.copyfile(path, shadow)
            self._shadows[path] = shadow  # from now on a read finds it: not before it is filled
        return shadow

    def _mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        minded = self._minded(path, sys._getframe(1))
        if minded is not None and self._made_by_lost_work(minded):
            self._to_be_made.discard(minded)  # a second attempt is the script's own doing
            self._made.add(minded)
            return
        self._real_mkdir(path, *args, **kwargs)
        if minded is not None:
            self._made.add(minded)
            self.made_folder()

    def _made_by_lost_work(self, path: str) -> bool:
        """Whether a folder is there because an earlier session, whose work is being repeated, has made it."""
        if not os.path.isdir(path):
            return False
        later = self._checkpoint_time is not None and os.stat(path).st_ctime >= self._checkpoint_time
        return path in self._to_be_made or (later and path not in self._made)

    def _save(self, obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        path = self._minded(f, sys._getframe(1)) if self._folder is not None or os.getpid() == self._pid else None
        if path is not None and self._is_shadowed(path):
            f = self._shadow(path, keep=False)
        elif path is not None:  # C code opens it
            self._written[path] = None
        self._real_save(obj, f, *args, **kwargs)

    def _kept_from(self, original: Any) -> Any:
        def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
            minded = self._minded(path, sys._getframe(1)) if self._folder is not None or self._inside else None
            if minded is not None and self._is_shadowed(minded):
                return args[0] if original.__name__ == "move" else None
            result = original(path, *args, **kwargs)
            if original.__name__ in ("rename", "replace", "move") and args and os.getpid() == self._pid:
                self._follow(path, args[0])
            return result

        return _in_place_of(original, guarded)

    def _linking(self, original: Any) -> Any:
        """A link that a script makes anew in its set-up: what stands there was not removed either."""

        def guarded(source: Any, path: Any, *args: Any, **kwargs: Any) -> None:
            minded = self._minded(path, sys._getframe(1)) if self._folder is not None or self._inside else None
            if minded is None or not self._is_shadowed(minded) or not (self._inside or os.path.lexists(minded)):
                original(source, path, *args, **kwargs)

        return _in_place_of(original, guarded)

    def _follow(self, old: Any, new: Any) -> None:
        """A file that was written has another name now, as where it was written beside and then put in place."""
        if isinstance(old, (str, os.PathLike)) and isinstance(new, (str, os.PathLike)):
            before, now = os.path.abspath(os.fsdecode(old)), os.path.abspath(os.fsdecode(new))
            if before in self._written:
                self._written[now] = self._written.pop(before)

    def _is_shadowed(self, path: str) -> bool:
        """Whether what is written to a path goes to a shadow file."""
        return self._folder is not None or not path.startswith(self._inside)

    def _minded(self, file: Any, frame: Any) -> str | None:
        if not isinstance(file, (str, os.PathLike)) or not isinstance(os.fspath(file), str):
            return None
        path = os.path.abspath(file)
        if _NO_FILES.match(path):
            return None
        if self._folder is not None and path.startswith(self._folder):
            return None
        below = set(Path(path).parents)
        if frame.f_code.co_filename in self._scope.files or below & {Path.cwd(), self._home, self._scope.root}:
            return path if "site-packages" not in path and "__pycache__" not in path else None
        return None


def reference_to(file: Any) -> weakref.ref[Any]:
    """A weak reference: watching a file must not keep it open."""
    return weakref.ref(file)


def _in_place_of(original: Any, guarded: Any) -> Any:
    guarded.__name__ = original.__name__
    guarded.__wrapped__ = original
    return guarded
