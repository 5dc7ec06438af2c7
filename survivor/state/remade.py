"""What is left to the set-up, and how it is noticed that training has changed or exchanged it.

Re-execution makes files, writers, tables, tokenizers and other libraries' objects again, as the *set-up* made them. A
variable that training binds to another such object, or a database that training fills, would keep the set-up's value
after a resume, without a word. So each object of these kinds has a *mark*: a text that tells it from others as far as
its library tells it. Marks are compared twice:

- between two safe points of one loop: what differs was changed in the loop, where no re-run comes by, and is named to
  the user before training goes on;
- between a checkpoint and the objects that the re-run has made, before they are used.

Things that don't work: identity alone (the re-run's objects are others); a rule for all libraries by their attributes
(loggers, bars and figures change all the time, and nothing depends on it).
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from survivor.state import atoms
from survivor.state.scope import Scope, attributes_of, is_at_work

#: Arrow tables up to this size are known by all their bytes, larger ones by both ends of each piece.
_WHOLE_BYTES = 16 << 20
_END_BYTES = 4096
#: Classes of OpenCV that go on from what they have seen, in a way that can't be read.
_CV2_STATE = ("VideoCapture", "BackgroundSubtractor", "KalmanFilter", "Tracker", "ml_", "OpticalFlow", "RNG")
#: Positions in what a library streams, which can't be read.
_STREAMS = ("RecordBatchReader", "StreamReader", "BatchStream", "Scanner")
_STANDARD_FDS = 2
#: Begins the mark of what a script may make when it first needs it: an opened file of HDF5, a context.
LAZY = "~"
_IN_MEMORY = "in memory"


def is_hidden(value: Any) -> bool:
    """Whether an object goes on from what it has given or seen, and does not tell where it stands."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    if root == "cv2":
        return any(word in kind.__name__ for word in _CV2_STATE)
    if root == "pyarrow":
        return any(word in kind.__name__ for word in _STREAMS)
    if root == "asyncio" and hasattr(value, "run_until_complete"):
        asyncio = sys.modules["asyncio"]
        return bool(asyncio.all_tasks(value) - {asyncio.current_task(value)})
    if root == "asyncio":
        return kind.__name__.endswith("Queue") and not value.empty()
    # rows that were asked for, and perhaps not yet taken
    return root == "sqlite3" and kind.__name__ == "Cursor" and value.description is not None


def mark(value: Any, scope: Scope) -> str | None:
    """What tells an object that is left to the set-up from others, in any process; ``None`` where nothing needs to."""
    kind = type(value)
    if scope.owns_class(kind):
        return _own(value)
    read = _MARKS.get(kind.__module__.partition(".")[0]) or _MARKS.get(kind.__module__)
    try:
        told = read(value) if read is not None else None
    except Exception:  # it is closed, or of another version of the library
        told = ""
    if told is None:
        return None
    # these are worth what is in them; others are opened when they are first used, in a resumed run again
    is_data = kind.__module__.partition(".")[0] == "pyarrow" or told == _IN_MEMORY
    return f"{'' if is_data else LAZY}{kind.__qualname__} {told}".rstrip()


def may_be_late(known: str | None) -> bool:
    """Whether nothing is lost where an object with this mark stood and the set-up has none."""
    return known is None or known.startswith(LAZY)


def here(value: Any, scope: Scope) -> str | None:
    """The same within this process: also of files that are written, and of what only its identity tells."""
    if isinstance(value, io.IOBase):
        return _file(value)
    known = mark(value, scope)
    return f"{known} {id(value)}" if known is not None and type(value).__module__ == "cv2" else known


def _own(value: Any) -> str:
    """An instance of a class of the user's over one of Python's that is left to the set-up: its plain attributes."""
    left_out = frozenset(vars(threading.Thread())) if isinstance(value, threading.Thread) else frozenset[str]()
    plain = {k: atoms.encode_atom(v) for k, v in attributes_of(value).items() if atoms.is_atom(v) and k not in left_out}
    return f"{type(value).__qualname__} {sorted(plain.items())}"


def _file(value: Any) -> str | None:
    if value.closed:
        return "closed"
    name = getattr(value, "name", None)
    if not isinstance(name, str) or not value.writable() or value.fileno() <= _STANDARD_FDS:
        return None
    return f"{name} {getattr(value, 'mode', '')}"


def _database(value: Any) -> str | None:
    if type(value).__name__ != "Connection":
        return None
    # of one in memory SQLite gives no path, or, once it was filled from bytes, a name that is none
    files = [(name, path) for _, name, path in value.execute("PRAGMA database_list") if os.path.isabs(path)]
    return " ".join(f"{name}={path}" for name, path in files) or _IN_MEMORY


def _arrow(value: Any) -> str:
    """An Arrow table, batch or array: what it is, and a digest of its bytes."""
    shape = f"{getattr(value, 'schema', getattr(value, 'type', ''))} {getattr(value, 'nbytes', '')}"
    digest = hashlib.blake2b(shape.encode(), digest_size=16)
    size = getattr(value, "nbytes", 0)
    for buffer in _arrow_buffers(value):
        data = memoryview(buffer).cast("B")
        if size <= _WHOLE_BYTES:
            digest.update(data)
        else:
            digest.update(data[:_END_BYTES])
            digest.update(data[-_END_BYTES:])
    return digest.hexdigest()


def _arrow_buffers(value: Any) -> Iterator[Any]:
    chunks = [c for column in getattr(value, "columns", [value]) for c in getattr(column, "chunks", [column])]
    for chunk in chunks:
        yield f"{getattr(chunk, 'offset', 0)},{len(chunk)}".encode()
        yield from (buffer for buffer in chunk.buffers() if buffer is not None)


def _tokenizer(value: Any) -> str | None:
    """Its vocabulary; padding and truncation are set again with each call."""
    if type(value).__name__ != "Tokenizer":
        return None
    added = value.get_added_tokens_decoder()
    return f"{value.get_vocab_size(with_added_tokens=True)} {sorted((n, str(token)) for n, token in added.items())}"


def _autocast(value: Any) -> str:
    return " ".join(str(getattr(value, name, "")) for name in ("device", "fast_dtype", "_enabled", "mode"))


def _image(value: Any) -> str | None:
    return f"{value.mode} {value.size} {value.filename} {value.tell()}" if hasattr(value, "tell") else None


_MARKS: dict[str, Callable[[Any], str | None]] = {
    "sqlite3": _database,
    "pyarrow": _arrow,
    "tokenizers": _tokenizer,
    "sentencepiece": lambda value: str(value.get_piece_size()),
    "PIL": _image,
    "asyncio": lambda value: str(value._value) if hasattr(value, "_value") else None,
    "cv2": lambda value: "" if type(value).__module__ == "cv2" else None,
    "h5py": lambda value: f"{value.file.filename} {value.name}" if value else "closed",
    "lmdb": lambda value: value.path() if hasattr(value, "path") else None,
    "zipfile": lambda value: str(value.filename),
    "tarfile": lambda value: f"{value.name} {value.offset}" if hasattr(value, "offset") else None,
    "torch.amp.autocast_mode": _autocast,
    "torch.cpu.amp.autocast_mode": _autocast,
    "torch.cuda.amp.autocast_mode": _autocast,
    "torch.autograd.grad_mode": _autocast,
    "contextlib": lambda value: "" if type(value).__name__ == "nullcontext" else None,
}


class Seen:
    """What was left to the set-up at the safe points of one running loop.

    Two safe points of one loop have a body, or several, between them, and a re-run comes by none of these: what is
    another then will not be made again.
    """

    def __init__(self) -> None:
        self._marks: dict[str, str | None] = {}
        self._classes: dict[int, type] = {}  # held, so that nothing else gets their id
        self._objects: dict[int, Any] = {}
        self._first = True

    def changed(self, left: list[tuple[str, Any]], scope: Scope) -> list[tuple[str, Any]]:
        """Those of the objects and classes (path, object) that are not what they were at this loop's safe points."""
        classes = [(path, value) for path, value in left if isinstance(value, type)]
        objects = [(path, value) for path, value in left if not isinstance(value, type)]
        marks = {path: here(value, scope) for path, value in objects}
        found = [] if self._first else [each for each in classes if id(each[1]) not in self._classes]
        found += [] if self._first else [each for each in objects if self._differs(*each, marks[each[0]])]
        self._classes |= {id(value): value for _, value in classes}
        self._objects = {id(value): value for path, value in objects if marks[path] not in (None, "closed")}
        self._marks, self._first = marks, False
        return found

    def _differs(self, path: str, value: Any, now: str | None) -> bool:
        if now in (None, "closed") or path in self._marks:
            return now != "closed" and self._marks.get(path) != now
        # it stands in a new place: known by another one before, or made since
        return not may_be_late(now) and id(value) not in self._objects and not isinstance(value, io.IOBase)


def others_at_work(scope: Scope, known: list[Any], ignore: frozenset[str]) -> list[tuple[str, Any]]:
    """Threads and asyncio's tasks at work in the user's code, beside this one and the ``known`` objects, by a name.

    A thread that no variable holds goes on all the same. ``ignore`` holds names of threads, or of their functions.
    """
    ids = {id(value) for value in known}
    found: list[tuple[str, Any]] = [each for each in _tasks(ignore) if id(each[1]) not in ids]
    for thread in threading.enumerate():
        function = getattr(getattr(thread, "_target", None), "__name__", "")
        if id(thread) in ids or {thread.name, function} & ignore or not is_at_work(thread, scope):
            continue
        found.append((f"thread {function or thread.name}", thread))
    return found


def _tasks(ignore: frozenset[str]) -> list[tuple[str, Any]]:
    """The tasks that wait while the running one trains: where they stand is not known."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return []
    try:
        others = asyncio.all_tasks() - {asyncio.current_task()}
    except RuntimeError:  # no event loop runs
        return []
    named = [(getattr(task.get_coro(), "__name__", task.get_name()), task) for task in others]
    return [(f"task {name}", task) for name, task in sorted(named, key=lambda each: each[0]) if name not in ignore]
