"""One walk over everything that the script's variables lead to, as digests of leaves by the path that leads there.

Attributes and keys are taken in sorted order, and each variable is walked on its own, so that the paths of two
processes are the same although one of them was restored and has met its objects in another order.

*Hard* leaves are state: two runs that agree have them equal. *Soft* leaves lie in what may be filled at any time
without harm (a cache of a function, an environment variable): they only help to name a cause.
"""

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import queue
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from survivor.proof.tracing.digest import Digests, generator_state
from survivor.proof.tracing.frames import Root, Script
from survivor.proof.tracing.kinds import (
    ATOMS,
    MODULE_PLUMBING,
    all_atoms,
    attributes,
    is_left_alone,
    is_table,
    key_label,
)

#: A leaf of this many bytes that is no weight is bulk: a data set. It is digested at some events only.
BULK_BYTES = 1 << 22
_MOST_ITEMS = 2000  # of a container whose items are walked one by one


@dataclass
class Walk:
    """The state of one moment.

    Attributes:
        leaves: key (root's key, then the path below it) to digest.
        soft, bulk: keys of leaves that are so.
        aliases: key of a root to that of the one that holds the same object and was walked.
        values: what was asked for, by key.
    """

    leaves: dict[str, str] = field(default_factory=dict)
    soft: set[str] = field(default_factory=set)
    bulk: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Walker:
    """Walks; one per process.

    Args:
        script: tells the script's own classes and functions.
        digests: shared with the events, so that nothing is digested twice.
    """

    def __init__(self, script: Script, digests: Digests) -> None:
        self._script = script
        self._digests = digests
        self.with_bulk = True
        self.keep: Callable[[str, Any], Any] | None = None  # makes what is kept of a leaf's value, when it is wanted
        self._out = Walk()
        self._stack: list[tuple[str, Any, bool, bool]] = []
        self._late: list[tuple[str, Any]] = []
        self._seen: set[int] = set()
        self._alive: list[Any] = []
        self._names: dict[int, str] = {}

    def walk(self, roots: Iterable[Root]) -> Walk:
        """The leaves below these roots."""
        self._out = Walk()
        self._names = {}
        first: dict[int, str] = {}
        optimizers: list[tuple[str, Any]] = []
        for root in roots:
            if id(root.value) in first and type(root.value) not in ATOMS:
                self._out.aliases[root.key] = first[id(root.value)]
                continue
            first[id(root.value)] = root.key
            self._seen, self._late = set(), []
            self._run(root.key, root.value)
            optimizers += self._late
        # last, since parameters are called by the names that their modules give them
        for path, optimizer in optimizers:
            self._seen = set()
            self._optimizer(path, optimizer)
            self._drain()
        out, self._alive, self._stack = self._out, [], []
        return out

    def _run(self, path: str, value: Any) -> None:
        self._stack = [(path, value, False, False)]
        self._drain()

    def _drain(self) -> None:
        while self._stack:
            path, value, soft, weight = self._stack.pop()
            try:
                self._visit(path, value, soft, weight)
            except Exception as error:  # an object that can't be looked at must not end the script
                self._plain(path, f"unreadable: {type(value).__qualname__}: {type(error).__name__}", soft)

    # --- leaves ---------------------------------------------------------------------------------

    def _leaf(self, path: str, digest: str, value: Any, soft: bool) -> None:
        self._out.leaves[path] = digest
        if soft:
            self._out.soft.add(path)
        if self.keep is not None:
            kept = self.keep(path, value)
            if kept is not None:
                self._out.values[path] = kept

    def _plain(self, path: str, value: Any, soft: bool) -> None:
        self._leaf(path, self._digests.plain(value), value, soft)

    def _bulk(self, path: str, value: Any, size: int, weight: bool, soft: bool) -> None:
        if size >= BULK_BYTES and not weight:
            self._out.bulk.add(path)
            if not self.with_bulk:
                return
        digest = self._digests.tensor(value) if isinstance(value, torch.Tensor) else self._digests.array(value)
        self._leaf(path, digest, value, soft)

    # --- kinds ----------------------------------------------------------------------------------

    def _visit(self, path: str, value: Any, soft: bool, weight: bool) -> None:  # noqa: PLR0912  # one branch a kind
        kind = type(value)
        if kind in ATOMS:
            self._plain(path, value, soft)
            return
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._alive.append(value)
        if isinstance(value, torch.Tensor):
            self._tensor(path, value, soft, weight)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._bulk(path, value, value.nbytes, weight, soft)
        elif isinstance(value, np.generic) or kind in (torch.dtype, torch.device, torch.Size):
            self._plain(path, value, soft)
        elif isinstance(value, enum.Enum):
            self._plain(path, value, soft)
            own = [(n, v) for n, v in sorted(vars(value).items()) if not (n.startswith("_") and n.endswith("_"))]
            self._pairs([(f"{path}.{n}", v) for n, v in own if self._counts(v)], soft)
        elif (state := generator_state(value)) is not None:
            self._plain(path, state, soft)
        elif isinstance(value, torch.nn.Module):
            self._module(path, value, soft)
        elif isinstance(value, torch.optim.Optimizer):
            self._late.append((path, value))
        elif isinstance(value, (list, tuple, collections.deque, np.ndarray)):
            self._sequence(path, value, soft)
        elif isinstance(value, (set, frozenset)):
            # its order follows from the seed of hashes, which is another in every plain run
            self._plain(path, [len(value), *sorted(repr(item) for item in value if type(item) in ATOMS)], soft)
        elif isinstance(value, dict):
            self._dict(path, value, soft)
        elif isinstance(value, types.FunctionType):
            self._function(path, value, soft)
        elif isinstance(value, types.MethodType):
            self._push(path, value.__self__, soft)
        elif isinstance(value, type):
            self._class(path, value, soft)
        elif not self._beside(path, value) and not is_left_alone(value):
            self._object(path, value, soft)

    def _push(self, path: str, value: Any, soft: bool = False, weight: bool = False) -> None:
        self._stack.append((path, value, soft, weight))

    def _pairs(self, pairs: list[tuple[str, Any]], soft: bool, weight: bool = False) -> None:
        for path, item in reversed(pairs):  # a stack: the first is visited first
            self._push(path, item, soft, weight)

    def _tensor(self, path: str, value: torch.Tensor, soft: bool, weight: bool) -> None:
        weight = weight or isinstance(value, torch.nn.Parameter)
        self._bulk(path, value, value.numel() * value.element_size(), weight, soft)
        if value.is_leaf and value.grad is not None:
            self._push(f"{path}.grad", value.grad, soft, weight)

    def _module(self, path: str, value: torch.nn.Module, soft: bool) -> None:
        own = [(n, v) for n, v in sorted(vars(value).items()) if n not in MODULE_PLUMBING]
        pairs = [(f"{path}.{n}", v) for n, v in own if self._counts(v)]
        self._pairs([*pairs, (f"{path}.training", value.training)], soft)
        held: list[tuple[str, Any]] = []
        for table in (value._modules, value._buffers, value._parameters):
            for name, item in table.items():
                if item is not None:
                    held.append((f"{path}[{name}]" if name.isdigit() else f"{path}.{name}", item))
        for place, item in held:
            if isinstance(item, torch.nn.Parameter):
                self._names.setdefault(id(item), place.partition("|")[2])
        self._pairs(held, soft, weight=True)

    def _optimizer(self, path: str, value: torch.optim.Optimizer) -> None:
        labels: dict[int, str] = {}
        for i, group in enumerate(value.param_groups):
            settings = [(f"{path}.param_groups[{i}][{k!r}]", v) for k, v in sorted(group.items()) if k != "params"]
            self._pairs(settings, False)
            for j, parameter in enumerate(group["params"]):
                name = self._names.get(id(parameter))
                if name is None or name in labels.values():
                    name = f"param_groups[{i}]['params'][{j}]"
                    self._push(f"{path}.{name}", parameter, False, True)
                labels[id(parameter)] = name
        for parameter, state in value.state.items():
            label = labels.get(id(parameter))
            if label is not None and isinstance(state, dict):
                found = sorted((str(k), v) for k, v in state.items())
                self._pairs([(f"{path}.state[{label}][{k!r}]", v) for k, v in found], False, weight=True)
        own = [(f"{path}.{n}", v) for n, v in sorted(vars(value).items()) if not n.startswith("_")]
        plumbing = (".param_groups", ".state", ".step", ".zero_grad", ".defaults")
        self._pairs([(p, v) for p, v in own if not p.endswith(plumbing) and self._counts(v)], False)

    def _sequence(self, path: str, value: Any, soft: bool) -> None:
        if isinstance(value, np.ndarray):
            value = value.ravel().tolist()
        if all_atoms(value):
            self._plain(path, list(value), soft)
            return
        self._plain(f"{path}.len()", len(value), soft)
        items = list(value)
        if len(items) > _MOST_ITEMS:  # what changes in a long buffer changes at its ends
            half = _MOST_ITEMS // 2
            picked = [*range(half), *range(len(items) - half, len(items))]
        else:
            picked = list(range(len(items)))
        self._pairs([(f"{path}[{i}]", items[i]) for i in picked], soft)

    def _dict(self, path: str, value: dict[Any, Any], soft: bool) -> None:
        if "__builtins__" in value:  # of a namespace that exec() was given: Python's own
            value = {key: item for key, item in value.items() if key != "__builtins__"}
        labels = _unique([key_label(key) for key in value])
        values = list(dict.values(value))
        if all_atoms(values) and len(values) > 64:
            self._plain(path, [*labels, *values], soft)
            return
        self._plain(f"{path}.keys()", labels, soft)
        pairs = sorted(zip(labels, values, strict=True), key=lambda pair: pair[0])
        self._pairs([(f"{path}[{label}]", item) for label, item in pairs[:_MOST_ITEMS]], soft)
        if type(value) is not dict:
            self._pairs([(f"{path}.{n}", v) for n, v in attributes(value)], soft)

    def _function(self, path: str, value: types.FunctionType, soft: bool) -> None:
        cached = value.__dict__.get("__wrapped__")
        if not self._script.owns(value.__code__.co_filename):
            if isinstance(cached, types.FunctionType):
                self._push(path, cached, soft)
            return
        pairs: list[tuple[str, Any]] = []
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
            try:
                pairs.append((f"{path}.<{name}>", cell.cell_contents))
            except ValueError:
                continue
        defaults = value.__defaults__ or ()
        names = value.__code__.co_varnames[: value.__code__.co_argcount][-len(defaults) :] if defaults else ()
        pairs += [(f"{path}.<{n}>", v) for n, v in zip(names, defaults, strict=True)]
        pairs += [(f"{path}.<{n}>", v) for n, v in sorted((value.__kwdefaults__ or {}).items())]
        pairs += [(f"{path}.{n}", v) for n, v in sorted(value.__dict__.items()) if not n.startswith("__")]
        self._pairs([(p, v) for p, v in pairs if self._counts(v)], soft)

    def _class(self, path: str, value: type, soft: bool) -> None:
        if value.__module__ not in self._script.modules():
            return
        own = [(n, v) for n, v in sorted(vars(value).items()) if not n.startswith("__") and n != "_abc_impl"]
        functions = (types.FunctionType, staticmethod, classmethod, property, types.MemberDescriptorType, type)
        own = [(n, v) for n, v in own if not isinstance(v, functions)]
        self._pairs([(f"{path}.{n}", v) for n, v in own if self._counts(v)], soft)

    def _object(self, path: str, value: Any, soft: bool) -> None:
        if isinstance(value, functools.partial):
            self._pairs([(f"{path}.func", value.func), (f"{path}.args", value.args)], soft)
            self._push(f"{path}.keywords", value.keywords, soft)
            return
        if is_table(value):
            self._pairs([(f"{path}[{c!r}]", value[c].to_numpy()) for c in getattr(value, "columns", ())], soft)
            return
        held = [(n, v) for n, v in attributes(value) if self._counts(v)]
        if not held:
            self._plain(path, type(value).__qualname__, soft)
        if isinstance(value, torch.utils.data.DataLoader):
            held = [(n, v) for n, v in held if n in ("generator", "sampler", "batch_sampler", "dataset")]
        self._pairs([(f"{path}.{n}", v) for n, v in held], soft)

    def _counts(self, value: Any) -> bool:
        """Whether what an attribute holds is looked at: functions of libraries have no state."""
        if isinstance(value, types.FunctionType):
            return self._script.owns(value.__code__.co_filename)
        return not isinstance(value, (types.BuiltinFunctionType, types.ModuleType))

    def _beside(self, path: str, value: Any) -> bool:
        """What holds values beside the script's variables, where a resumed run may not find them again."""
        if isinstance(value, queue.Queue):
            self._push(f"{path}.queue", list(value.queue), True)
        elif isinstance(value, threading.local):
            self._pairs([(f"{path}.{n}", v) for n, v in sorted(vars(value).items())], True)
        elif isinstance(value, contextvars.ContextVar):
            self._push(f"{path}.get()", value.get(None), True)
        elif isinstance(value, functools._lru_cache_wrapper):
            self._plain(f"{path}.cache_info().currsize", value.cache_info().currsize, True)
        elif isinstance(value, (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)):
            self._push(f"{path}.values()", list(value.values()), True)
        else:
            return False
        return True


def _unique(labels: list[str]) -> list[str]:
    """The same labels, those that occur again with their number behind them."""
    seen: dict[str, int] = {}
    found = []
    for label in labels:
        seen[label] = seen.get(label, -1) + 1
        found.append(f"{label}#{seen[label]}" if seen[label] else label)
    return found
