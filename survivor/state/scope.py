"""What belongs to the user, what is made again by re-execution, and what survivor looks into.

Every object in reach of the script's frames falls into one of four classes:

- *carried by value* or *by node*: plain data, tensors, containers, generators (see `survivor.state.encode`);
- *walked*: an instance whose whole state is its attributes, whoever wrote its class;
- *re-made*: re-execution builds it again and training does not change it (files, loggers, progress
  bars, writers, modules, locks), so it is left alone;
- *opaque*: anything else. It is named to the user, never dropped in silence.
"""

from __future__ import annotations

import argparse
import collections
import csv
import importlib.machinery
import inspect
import io
import subprocess
import sys
import sysconfig
import threading
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from survivor.state.foreign import Foreign

#: Packages whose instances re-execution makes again. Their state is display, I/O or configuration.
REMADE_PACKAGES = frozenset(
    """
    logging matplotlib mpl_toolkits seaborn plotly visdom tensorboard tensorboardX wandb mlflow comet_ml
    neptune clearml aim sacred swanlab loguru threading multiprocessing concurrent asyncio ssl subprocess io tempfile
    argparse rich click tqdm IPython ipykernel inspect importlib unittest pytest weakref types typing
    typing_extensions abc ast contextlib warnings string traceback linecache tokenize sys signal select
    zipfile tarfile urllib http requests yaml json configparser psutil survivor absl fire docopt
    hydra PIL cv2 h5py tornado _thread _io _weakref _contextvars contextvars
    pyarrow tokenizers sentencepiece tiktoken spacy thinc lmdb sqlite3
    """.split()
)
_REMADE_PREFIXES = (
    "torch.utils.tensorboard",
    "torch.utils.benchmark",
    "torch.utils._contextlib",
    "torch.autograd.function",
    "torch.autograd.grad_mode",
    "torch.autograd.anomaly_mode",
    "torch.autograd.profiler",
    "torch.profiler",
    "torch.amp.autocast_mode",
    "torch.fx",
    "torch._dynamo",
    "torch._inductor",
    "torch._ops",
    "torch._jit_internal",
    "torch.jit",
    "torch._C",
    "torch.cuda.streams",
    "torch.multiprocessing",
    "torch.library",
)
#: What is held here belongs to other processes or threads as well.
_AT_WORK_MODULES = frozenset({"multiprocessing.queues", "multiprocessing.managers", "concurrent.futures._base"})
#: Who is in these depends on who else is alive.
WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
#: Plain holders of attributes, wherever they are defined.
_WALKED_TYPES = (argparse.Namespace, types.SimpleNamespace)
_REMADE_TYPES: tuple[type, ...] = (
    io.IOBase,
    type(csv.writer(io.StringIO())),
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.MappingProxyType,
    threading.Thread,
    type(threading.Lock()),
    type(threading.RLock()),
    property,
    staticmethod,
    classmethod,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GenericAlias,
    importlib.machinery.ModuleSpec,
    super,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
    type(vars(collections.namedtuple("_", "field"))["field"]),
)
_PROJECT_MARKERS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
_SLOT = 8
_LIBRARY_DIRS = tuple(
    str(Path(directory))
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (directory := sysconfig.get_paths().get(name))
)
_OWN_DIR = str(Path(__file__).resolve().parent.parent)


class Scope:
    """Which code and classes are the user's.

    Args:
        root: folder of the main script; modules under it are the user's, site-packages never are.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._project = _project_of(self.root)
        self._first_path = frozenset(sys.path)
        self.modules: dict[str, types.ModuleType] = {}
        self.codes: dict[str, types.CodeType] = {}
        self.foreign = Foreign()
        self._names: dict[int, str] = {}
        self._by_name: dict[str, types.CodeType] = {}
        self.files: set[str] = set()
        #: the watched loops of a function, by its file, first line and name
        self.sites_by_code: dict[tuple[str, int, str], list[Any]] = {}
        #: where it may catch an exception: lines of its ``try`` and ``with`` statements
        self.guards_by_code: dict[tuple[str, int, str], list[tuple[int, int]]] = {}

    def owns_file(self, filename: str) -> bool:
        """Whether a source file is the user's own."""
        if filename.startswith("<"):
            return False
        path = Path(filename).resolve()
        text = str(path)
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            return False
        if any(text.startswith(directory + "/") for directory in (*_LIBRARY_DIRS, _OWN_DIR)):
            return False
        return any(folder in path.parents for folder in self._folders())

    def _folders(self) -> Iterator[Path]:
        """Where the user's modules are: by the script, in its project, and where the script has said so itself."""
        yield self.root
        if self._project is not None:
            yield self._project
        for entry in sys.path:
            if entry not in self._first_path:
                yield Path(entry or ".").resolve()

    def owns_class(self, cls: type) -> bool:
        """Whether a class was defined in one of the user's modules."""
        return cls.__module__ in self.modules

    def add_codes(self, module: str, code: types.CodeType) -> None:
        """Name the codes of a module: ``module:outer.inner``, with ``#1``, ``#2`` … where that is taken."""
        self.codes[module] = code
        counts: collections.Counter[str] = collections.Counter()
        waiting = [("", code)]
        while waiting:
            outer, current = waiting.pop(0)
            for nested in current.co_consts:
                if not isinstance(nested, types.CodeType):
                    continue
                name = f"{module}:{outer}{nested.co_name}"
                counts[name] += 1
                unique = name if counts[name] == 1 else f"{name}#{counts[name] - 1}"
                self._names[id(nested)] = unique
                self._by_name[unique] = nested
                waiting.append((f"{unique.partition(':')[2]}.", nested))

    def code_name(self, code: types.CodeType) -> str | None:
        """The name of a code of the user's modules, the same in each run of the same source."""
        name = self._names.get(id(code))
        return name if name is not None and self._by_name[name] is code else None

    def find_code(self, name: str) -> types.CodeType | None:
        """The code of that name."""
        return self._by_name.get(name)


def _project_of(root: Path) -> Path | None:
    """The folder of the project that a script's folder is in: the nearest that is laid out as one."""
    paths = {Path(entry).resolve() for entry in sys.path if entry}
    for folder in root.parents:
        if folder == Path.home() or folder.parent == folder:
            return None
        if folder in paths or any((folder / marker).exists() for marker in _PROJECT_MARKERS):
            return folder
    return None


def is_remade(cls: type, scope: Scope) -> bool:
    """Whether instances of ``cls`` are left to re-execution without a word."""
    if issubclass(cls, _WALKED_TYPES):
        return False
    if issubclass(cls, _REMADE_TYPES) or _is_process_group(cls):
        return True
    if issubclass(cls, torch.nn.Module):
        return False  # a traced graph module, whatever package makes it
    if scope.owns_class(cls):
        return False  # a module of the user's may bear the name of a package
    module = cls.__module__ or ""
    return module.partition(".")[0] in REMADE_PACKAGES or module.startswith(_REMADE_PREFIXES)


def is_at_work(value: Any, scope: Scope) -> bool:  # noqa: PLR0911  # one return a kind
    """Whether an object of a class that is left to re-execution has a life of its own.

    Another process or a thread of the user's code goes on by itself, and what it has done can't be read: an
    environment that is stepped through a pipe, a thread that fetches ahead.
    """
    if isinstance(value, WEAK):
        return len(value) > 0
    if isinstance(value, threading.Thread):
        target = inspect.unwrap(getattr(value, "_target", None) or _nothing)
        code = getattr(getattr(target, "__func__", target), "__code__", None)
        theirs = scope.owns_class(type(value)) or getattr(code, "co_filename", "") in scope.files
        return theirs and value.is_alive()
    if isinstance(value, subprocess.Popen):
        return value.returncode is None and any((value.stdin, value.stdout))
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and isinstance(value, processes.BaseProcess):
        return value is not processes.current_process() and value.is_alive()
    connections = sys.modules.get("multiprocessing.connection")
    if connections is not None and isinstance(value, connections._ConnectionBase):
        return not value.closed
    if _is_process_group(type(value)):
        return bool(value.size() > 1)
    return type(value).__module__ in _AT_WORK_MODULES


def _is_process_group(cls: type) -> bool:
    """Whether a class is torch's for the processes that train together: with one of them it has no state."""
    return cls.__name__.startswith("ProcessGroup") and cls.__module__.startswith("torch.distributed")


def _nothing() -> None:
    """Stands for the target of a thread that has none."""


def slot_names(cls: type) -> list[str]:
    """The names of all ``__slots__`` of a class and its bases, mangled as they are stored."""
    names: list[str] = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            mangled = name.startswith("__") and not name.endswith("__")
            names.append(f"_{base.__name__.lstrip('_')}{name}" if mangled else name)
    return names


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes of an instance, from its ``__dict__`` and its slots.

    Read past what the class makes of attribute access: a dict that answers for its keys raises ``KeyError``.
    """
    found: dict[str, Any] = {}
    for name in ("__dict__", *slot_names(type(value))):
        try:
            held = object.__getattribute__(value, name)
        except AttributeError:
            continue
        if name == "__dict__":
            found |= held
        else:
            found[name] = held
    return found


def is_its_own_dict(value: Any) -> bool:
    """Whether a dict of a class of its own was told that its items are its attributes (``self.__dict__ = self``)."""
    try:
        return object.__getattribute__(value, "__dict__") is value
    except AttributeError:
        return False


def is_transparent(cls: type) -> bool:
    """Whether the attributes of an instance are all of its state.

    A class with a C layout of its own (an environment's physics, a tokenizer) is larger than its
    ``__dict__``, weak references and slots explain; that is how it is told.
    """
    if cls in _WALKED_TYPES:
        return True
    if cls.__itemsize__ or not cls.__flags__ & (1 << 9):  # 1 << 9: made at run time, as by a class statement
        return False
    if any(base is not object and not base.__dictoffset__ and "__slots__" not in vars(base) for base in cls.__mro__):
        return False  # made in C: a class statement gives its instances a __dict__ or slots
    explained = object.__basicsize__ + 2 * _SLOT + _SLOT * len(slot_names(cls))
    return cls.__basicsize__ <= explained and all(base is object or base.__flags__ & (1 << 9) for base in cls.__mro__)


def class_name(cls: type) -> str:
    """The name that a document uses for a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str) -> type | None:
    """The class of that name among the modules that are loaded; never imports anything."""
    module_name, _, qualname = name.partition(":")
    target: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        target = getattr(target, "__dict__", {}).get(part)
    return target if isinstance(target, type) else None
