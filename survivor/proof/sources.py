"""What of a script's source is known to make runs differ: found in its syntax, by file and line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SEEDERS = (
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_everything",
    "set_seed",
    "default_rng",
    "Random",
    "RandomState",
)
_CLOCKS = "time time_ns perf_counter perf_counter_ns monotonic monotonic_ns process_time now utcnow".split()
_GENERATORS = ("default_rng", "RandomState", "Random", "PCG64", "Philox", "SFC64", "MT19937")
_ENTROPY = "urandom getrandom token_bytes token_hex randbits randbelow uuid4 uuid1 SystemRandom".split()
_ADDS = ("scatter_add_", "scatter_add", "index_add_", "index_add", "scatter_reduce_", "bincount", "index_put_", "put_")
_LISTINGS = ("listdir", "scandir", "glob", "iglob", "rglob", "iterdir")
_FLAGS = (
    "set_default_dtype set_grad_enabled use_deterministic_algorithms set_float32_matmul_precision set_flush_denormal "
    "seterr set_default_validate_args setcontext setlocale umask"
).split()
_GLOBAL_HOOKS = (
    "register_module_forward_hook register_module_forward_pre_hook register_module_full_backward_hook "
    "register_module_full_backward_pre_hook register_optimizer_step_pre_hook register_optimizer_step_post_hook"
).split()
_RANDOM = ("nn.", "torch.nn.", "torch.rand", "np.random.", "numpy.random.", "random.")
_NUMPY_DRAWS = ("np.random.", "numpy.random.")
#: Names that are found wherever they are called.
_CALLS = {
    **dict.fromkeys(_ENTROPY, "entropy"),
    **dict.fromkeys(_ADDS, "atomic-adds"),
    **dict.fromkeys(_FLAGS, "process-flag"),
    **dict.fromkeys(_GLOBAL_HOOKS, "global-hook"),
    **dict.fromkeys(("new_event_loop", "create_task", "ensure_future"), "event-loop"),
    **dict.fromkeys(("get_count", "get_stats", "get_objects"), "garbage-collector"),
    "getcontext": "process-flag",
    "MemoryHandler": "log-handler",
    "QueueHandler": "log-handler",
    "getpid": "process-number",
    "Thread": "threads",
    "ThreadPoolExecutor": "threads",
    "as_completed": "threads",
    "SimpleQueue": "queue",
    "WeakKeyDictionary": "weak-dictionary",
    "WeakValueDictionary": "weak-dictionary",
    "SharedMemory": "shared-memory",
    "memmap": "memory-map",
    "mmap": "memory-map",
    "putenv": "environment",
    "ignore": "ignored",
}
_MODULES_CALLED = {
    "sqlite3": "database",
    "subprocess": "other-process",
    "ctypes": "foreign-memory",
    "atexit": "exit-handler",
}


@dataclass(frozen=True)
class Finding:
    """One place: what was found, where, and the line's text."""

    key: str
    file: str
    line: int
    text: str


def scan(folder: Path, script: Path) -> list[Finding]:
    """The findings in a script and in the modules of its folder that it names."""
    found: list[Finding] = []
    seen: set[Path] = set()
    pending = [script]
    while pending:
        path = pending.pop(0)
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        try:
            source = path.read_text(encoding="utf-8", errors="replace")
            tree = ast.parse(source)
        except (OSError, SyntaxError, ValueError):
            continue
        lines = source.splitlines()
        for key, node in _Scan(tree, folder).findings():
            number = getattr(node, "lineno", 1)
            found.append(Finding(key, path.name, number, lines[number - 1].strip() if number <= len(lines) else ""))
        pending += _imported(tree, script.parent)
    return found


def _imported(tree: ast.AST, folder: Path) -> list[Path]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parts = [folder.joinpath(*name.split(".")) for name in names]
    return [path for part in parts for path in (part.with_suffix(".py"), part / "__init__.py")]


def _is_in(folder: Path, module: str) -> bool:
    place = folder / module.partition(".")[0]
    return place.with_suffix(".py").exists() or place.is_dir()


def _last(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _first(function: ast.expr) -> str:
    while isinstance(function, ast.Attribute):
        function = function.value
    return function.id if isinstance(function, ast.Name) else ""


class _Scan:
    """The findings of one module."""

    def __init__(self, tree: ast.Module, folder: Path) -> None:
        self._tree = tree
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._imported = {  # names that stand for what is installed
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0)
            for alias in node.names
            if not _is_in(folder, getattr(node, "module", None) or alias.name)
        }

        seeds = {f"{each}seed" for each in _NUMPY_DRAWS}
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        self._seeds_numpy = any(ast.unparse(node.func) in seeds for node in calls)

    def findings(self) -> Iterator[tuple[str, ast.AST]]:
        """Key and node of each."""
        seeded = False
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                seeded = seeded or (_last(node.func) in _SEEDERS and bool(node.args))
                yield from self._call(node)
            elif isinstance(node, (ast.Assign, ast.AugAssign)):
                yield from self._assignment(node)
            elif isinstance(node, ast.For):
                yield from self._loop(node)
            elif isinstance(node, ast.FunctionDef):
                yield from self._function(node)
            elif isinstance(node, ast.ClassDef):
                yield from self._class(node)
        if not seeded:
            yield "nothing-seeded", self._tree
        yield from self._before_the_seed()

    def _before_the_seed(self) -> Iterator[tuple[str, ast.AST]]:
        """What is made at random by the script's own top level before that seeds anything."""
        for statement in self._tree.body:
            calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                continue
            if any(_last(node.func) in _SEEDERS for node in calls):
                return
            for node in calls:
                if ast.unparse(node.func).startswith(_RANDOM):
                    yield "seeded-late", node

    def _call(self, node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
        name, module = _last(node.func), _first(node.func)
        inside = {_last(each.func) for arg in [*node.args] for each in ast.walk(arg) if isinstance(each, ast.Call)}
        plain = isinstance(node.func, ast.Name)
        if name in _SEEDERS and inside & {*_CLOCKS, *_ENTROPY, "getpid", "hash", "id"}:
            yield "seed-from-outside", node
        if name in _GENERATORS and not node.args and not node.keywords:
            yield "unseeded-generator", node
        if name == "seed" and not node.args:
            yield "unseeded-generator", node
        if name in _CLOCKS and module in ("time", "datetime", "perf_counter", "monotonic"):
            yield "clock", node
        if name in _CALLS:
            yield _CALLS[name], node
        if name == "set_num_threads" and not all(isinstance(each, ast.Constant) for each in node.args):
            yield "thread-count", node
        if module in _MODULES_CALLED:
            yield _MODULES_CALLED[module], node
        if isinstance(node.func, ast.Name) and name in ("hash", "id"):
            yield f"builtin-{name}", node
        yield from self._standing(node, name, module)
        if plain and name in ("list", "tuple", "enumerate") and node.args and self._is_set(node.args[0]):
            yield "set-order", node
        mode = ast.unparse(node.args[1]) if len(node.args) > 1 else ""
        if name == "open" and ("O_APPEND" in mode or mode in ("'a'", "'ab'", "'a+'", "'ab+'")):
            yield "appended-file", node
        if name == "DataLoader" and any(k.arg == "num_workers" and not _is_zero(k.value) for k in node.keywords):
            yield "workers", node

    def _standing(self, node: ast.Call, name: str, module: str) -> Iterator[tuple[str, ast.AST]]:
        """Calls of which it counts where they stand, or what they are of."""
        if module == "setattr" and node.args and _first(node.args[0]) in self._imported:
            yield "library-attribute", node
        if name in _LISTINGS and not self._is_sorted(node):
            yield "unsorted-listing", node
        elif name in _LISTINGS and self._comes_again(node):
            yield "listing", node
        if name == module == "signal" and isinstance(node.func, ast.Attribute) and self._comes_again(node):
            yield "signal-handler", node
        if name == "open" and module == "os":
            yield "descriptor", node

    def _assignment(self, node: ast.Assign | ast.AugAssign) -> Iterator[tuple[str, ast.AST]]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            text = ast.unparse(target)
            if text.endswith("cudnn.benchmark"):
                yield "cudnn-benchmark", node
            elif isinstance(target, ast.Attribute) and _first(target) in self._imported:
                constant = isinstance(node.value, ast.Constant) and not self._comes_again(node)
                if not constant:  # one that is set before the loop is set again by a resumed process
                    yield "library-attribute", node

    def _loop(self, node: ast.For) -> Iterator[tuple[str, ast.AST]]:
        if self._is_set(node.iter):
            yield "set-order", node

    def _function(self, node: ast.FunctionDef) -> Iterator[tuple[str, ast.AST]]:
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if _last(called) in ("lru_cache", "cache"):
                yield "cached-function", node
        if any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in ast.walk(node)):
            yield "generator", node

    def _class(self, node: ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
        for function in node.body:
            if isinstance(function, ast.FunctionDef) and function.name == "__del__":
                yield "finalizer", function
        if any(_last(base).endswith("Handler") for base in node.bases):
            yield "log-handler", node
        if not any("Dataset" in ast.unparse(base) for base in node.bases):
            return
        for function in node.body:
            if not isinstance(function, ast.FunctionDef) or function.name not in ("__getitem__", "__iter__"):
                continue
            for each in ast.walk(function):
                draws = isinstance(each, ast.Call) and ast.unparse(each.func).startswith(_NUMPY_DRAWS)
                if draws and not self._seeds_numpy:
                    yield "numpy-in-dataset", each
                if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]).startswith("self."):
                    yield "dataset-cache", each

    def _comes_again(self, node: ast.AST) -> bool:
        """Whether a line may be run while training, and not only before it, where a resumed process runs it too."""
        while (parent := self._parents.get(node)) is not None:
            if isinstance(parent, (ast.For, ast.While, ast.FunctionDef)) and node is not getattr(parent, "iter", None):
                return True
            node = parent
        return False

    def _is_sorted(self, node: ast.AST) -> bool:
        parent = self._parents.get(node)
        return isinstance(parent, ast.Call) and _last(parent.func) in ("sorted", "len", "set")

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, (ast.Set, ast.SetComp)):
            return True
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
        if isinstance(node, ast.Name):
            for each in ast.walk(self._tree):
                if isinstance(each, ast.Assign) and any(
                    isinstance(t, ast.Name) and t.id == node.id for t in each.targets
                ):
                    return not isinstance(each.value, ast.Name) and self._is_set(each.value)
        return False


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0
