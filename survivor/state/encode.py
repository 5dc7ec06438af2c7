"""From live objects to a document: one walk over everything in reach of the script's frames.

The result is a flat table of *nodes* (JSON lists; the first element is the kind) that refer to each
other by number, so sharing and cycles hold and depth does not matter, and *blobs* for the bytes of
tensors and arrays. `survivor.state.decode` is its mirror; kinds are described at the encoders here.

Things that don't work: pickling with hooks (the store must never be unpickled, and a pickle is made
anew, not merged into live objects); ``state_dict`` alone (plain attributes, parameter identity and
objects set from outside are lost).
"""

from __future__ import annotations

import builtins
import collections
import enum
import random
import re
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from survivor.checkpoint.snapshot import Blob
from survivor.state import (
    atoms,
    caches,
    classes,
    exceptions,
    functions,
    generators,
    holders,
    iterators,
    plumbing,
    progress,
    protocol,
    readers,
    remade,
    sets,
    steady,
    tables,
)
from survivor.state.encode_bulk import BulkEncoder
from survivor.state.memory import Constants, Memory
from survivor.state.scope import (
    WEAK,
    Scope,
    attributes_of,
    class_name,
    find_class,
    is_at_work,
    is_its_own_dict,
    is_remade,
    is_transparent,
    slot_names,
)

_MODULE_PART = re.compile(r"\._(?:parameters|buffers|modules)\['([^']*)'\]")
_LEAST_ADDRESS = 1 << 20


class Encoder(BulkEncoder):
    """Collects nodes and blobs; one instance encodes one snapshot.

    Args:
        scope: tells the user's classes and modules.
        ignore: names (the last part of a path) whose objects are left to re-execution.
        ignored: objects that are left to re-execution.
        constants: bulk data that need not be stored.
    """

    def __init__(
        self,
        scope: Scope,
        ignore: Iterable[str] = (),
        ignored: Iterable[Any] = (),
        constants: Constants | None = None,
    ) -> None:
        super().__init__()
        self.scope = scope
        self.ignore = frozenset(ignore)
        self.nodes: list[Any] = []
        self.memory = Memory(self.path, self.raw_path, constants or Constants())
        self.opaque: dict[int, Any] = {}  # node number -> the object that was not carried
        self.left: dict[int, Any] = {}  # node number -> what is left to the set-up
        self.nameless: dict[int, type] = {}  # node number -> the user's class that no name leads to
        self.cells: dict[str, dict[int, types.CellType]] = {}  # of the closures that were met, by variable
        self._via: list[tuple[int, str]] = []
        self._memo: dict[int, int] = {}
        self._alive: list[Any] = []  # temporaries must not be freed while their id is in the memo
        self._methods: dict[type, Callable[[Any, int], Any]] = {}
        self._addressed: list[int] = []  # dicts with keys that may be the id() of an object, as GradScaler has
        self._caches: list[tuple[Any, int]] = []
        self.steady: dict[str, steady.Steady] = {}
        self._ignored = {id(value) for value in ignored}

    # --- references -------------------------------------------------------------------------

    def ref(self, value: Any, parent: int = -1, label: str = "") -> Any:
        """The reference to a value, encoding it first if it is new. ``parent`` and ``label`` name its path."""
        kind = type(value)
        if kind in atoms.PLAIN and (kind is not str or value.isascii()):
            return value
        if atoms.is_atom(value):
            return atoms.encode_atom(value)
        number = self._memo.get(id(value))
        if number is None:
            number = len(self.nodes)
            self._memo[id(value)] = number
            self._alive.append(value)
            self.nodes.append(None)
            self._via.append((parent, label))
            method = self._methods.get(kind)
            if method is None:
                method = self._methods[kind] = self._method_for(kind)
                self._note_class(kind, number)
            if id(value) in self._ignored:
                method = self._left_alone
            self.nodes[number] = method(value, number)
        return [number]

    def path(self, number: int) -> str:
        """The node's place as the user would write it, such as ``trainer.ema.shadow['fc.weight']``."""
        return _MODULE_PART.sub(lambda m: f"[{m[1]}]" if m[1].isdigit() else f".{m[1]}", self.raw_path(number))

    def raw_path(self, number: int) -> str:
        """The same with what stands between a module and its parameters."""
        parts: list[str] = []
        while number >= 0:
            number, label = self._via[number]
            parts.append(label)
        return "".join(reversed(parts)).lstrip(".")

    def namespace(self, variables: dict[str, Any], label: str = "") -> list[list[Any]]:
        """References to the values of variables, as ``[[name, reference], …]``, in order."""
        return [[name, self.ref(value, -1, f"{label}.{name}")] for name, value in variables.items()]

    def tracked(self, value: Any, name: str) -> Any:
        """The reference to an object that the user named; its own ``state_dict`` wins if its class is opaque."""
        return self.ref(value, -1, name)

    def finish(self) -> dict[str, Blob]:
        """Settle which bytes are stored for which memory; call once, after the last `ref`."""
        # last, since what only a cache holds may be left out: it will be worked out anew
        for value, number in self._caches:
            known = len(self.opaque)
            self.nodes[number] = ["cache", self._attributes(caches.parts(value), number)]
            self._excuse(known)
        for number in self._addressed:
            for pair in self.nodes[number][2]:
                if type(pair[0]) is int and pair[0] in self._memo:
                    pair[0] = {"~": ["id", self._memo[pair[0]]]}
        blobs = self.memory.finish(steady.addresses(self._alive))
        self.steady = self.memory.steady
        # no cycles: a graph that the state hung on must be freed with the encoder, not at the next collection
        self._methods.clear()
        del self.memory
        return blobs

    # --- which encoder for which class ------------------------------------------------------

    def _method_for(self, kind: type) -> Callable[[Any, int], Any]:  # noqa: PLR0911  # one return a class
        if classes.is_enum(kind):
            return self._enum
        for kinds, method in (
            (torch.Tensor, self._tensor),
            (np.ndarray, self._array),
            (np.generic, self._numpy_scalar),
            (np.dtype, self._numpy_dtype),
            (BaseException, self._exception),
            ((np.random.Generator, np.random.RandomState, np.random.BitGenerator), self._numpy_rng),
            (random.Random, self._python_rng),
            (torch.Generator, self._torch_rng),
            (caches.KIND, self._cache),
            (type, self._class),
            (types.ModuleType, self._remade),
            (WEAK, self._weak),
            (functions.KINDS, self._function),
            (types.CellType, self._cell),
            (types.GeneratorType, self._generator),
            (dict, self._dict),
            (bytearray, self._bytearray),
            ((list, tuple, set, frozenset, collections.deque), self._sequence),
        ):
            if issubclass(kind, kinds):
                return method
        if kind in (torch.dtype, torch.device, torch.layout, torch.memory_format, torch.qscheme):
            return self._torch_constant
        if issubclass(kind, classes.PLAIN_BASES):
            return self._plain_like
        if tables.handles(kind):
            return self._table
        if holders.handles(kind):
            return self._holder
        if readers.handles(kind):
            return self._file
        if iterators.handles(kind):
            return self._iterator
        if is_remade(kind, self.scope):
            return self._remade
        return self._object if is_transparent(kind) else self._opaque

    # --- kinds ------------------------------------------------------------------------------

    def _remade(self, value: Any, number: int) -> Any:
        """``["remade", type, mark]``: re-execution makes it; nothing is carried, but the count of a progress bar."""
        if progress.is_tqdm(value):
            return ["progress", type(value).__name__, value.n]
        if functions.is_like(value) and functions.library_function(named := functions.plain_name(value)) is value:
            return ["function", named, []]
        if is_at_work(value, self.scope) or remade.is_hidden(value):
            self.opaque[number] = value
            return ["opaque", class_name(type(value))]
        self.left[number] = value
        return ["remade", type(value).__name__, remade.mark(value, self.scope)]

    def _weak(self, value: Any, number: int) -> Any:
        """As `_remade`, but looked at as a class's attribute too: training puts instances into a registry there."""
        return self._remade(value, number)

    def _note_class(self, kind: type, number: int) -> None:
        """Remember a class of the user's that a resumed run can find only where its set-up has made it."""
        if self.scope.owns_class(kind) and find_class(class_name(kind)) is not kind:
            self.nameless[number] = kind

    def _left_alone(self, value: Any, number: int) -> Any:
        """``["remade", type]``, as the user has said."""
        return ["remade", type(value).__name__]

    def _opaque(self, value: Any, number: int) -> Any:
        """``["opaque", type]``: survivor can't carry it, and says so; ``["stateful", …]`` if it can say its state."""
        if functions.is_like(value) and not protocol.is_stateful(value):
            return self._remade(value, number)
        if protocol.is_stateful(value):
            return ["stateful", class_name(type(value)), self.ref(value.state_dict(), number, ".state_dict()")]
        self.opaque[number] = value
        return ["opaque", class_name(type(value))]

    def _torch_constant(self, value: Any, number: int) -> Any:
        """``["torch", kind, name]``: a dtype, device, layout or memory format."""
        return ["torch", type(value).__name__, str(value)]

    def _class(self, value: type, number: int) -> Any:
        """``["class", name, attributes]``: of a user's class, the plain attributes."""
        attributes: list[Any] = []
        self._note_class(value, number)
        if self.scope.owns_class(value):
            data = {
                name: item
                for name, item in vars(value).items()
                if not (name.startswith("__") or name == "_abc_impl" or isinstance(item, functions.KINDS))
                and self._method_for(type(item)) not in (self._remade, self._class)
            }
            attributes = self._attributes(data, number)
        return ["class", class_name(value), attributes]

    def _function(self, value: Any, number: int) -> Any:
        """``["function", name, parts]``: code comes from re-execution, parts are what it has captured."""
        parts = functions.parts(value, self.scope)
        label = {"__dict__": "", "__self__": "", "func": ".func"}
        references = [[n, self.ref(part, number, label.get(n, f".{n}"))] for n, part in parts.items()]
        self._note_cells({n[1:-1]: part for n, part in parts.items() if n.startswith("<")})
        return ["function", functions.name(value, self.scope), references]

    def _cache(self, value: Any, number: int) -> Any:
        """``["cache", entries]`` of a function whose results are kept: see `survivor.state.caches`."""
        if caches.is_users(value, self.scope):
            self._caches.append((value, number))
        return self._remade(value, number)

    def _note_cells(self, cells: dict[str, types.CellType]) -> None:
        for name, cell in cells.items():
            self.cells.setdefault(name, {})[id(cell)] = cell

    def _cell(self, cell: types.CellType, number: int) -> Any:
        """``["cell", content]`` or ``["cell"]`` when it is empty."""
        try:
            return ["cell", self.ref(cell.cell_contents, number, "")]
        except ValueError:
            return ["cell"]

    def _bytearray(self, value: bytearray, number: int) -> Any:
        """``["bytearray", bytes]``."""
        return ["bytearray", atoms.encode_atom(bytes(value))]

    def _enum(self, value: Any, number: int) -> Any:
        """``["enum", class, name]``; a combination of flags has its number in the place of a name.

        A member of a user's class with attributes of its own has them behind its name.
        """
        kind = type(value)
        combined = isinstance(value, enum.Flag) and value.name not in kind.__members__
        node = ["enum", classes.enum_name(kind), value.value if combined else value.name]
        if not combined and issubclass(kind, enum.Enum) and self.scope.owns_class(kind):
            own = classes.attributes_of_member(value)
            node += [self._attributes(own, number)] if own else []
        return node

    def _plain_like(self, value: Any, number: int) -> Any:
        """``["plain", class, value, attributes]``: a number or string of a class of its own."""
        return ["plain", class_name(type(value)), classes.plain_part(value), self._instance_attributes(value, number)]

    def _exception(self, value: BaseException, number: int) -> Any:
        """``["exception", class, parts]``: see `survivor.state.exceptions`."""
        parts = exceptions.parts(value)
        if parts is None:
            return self._opaque(value, number)
        return ["exception", class_name(type(value)), self._attributes(parts, number)]

    def _sequence(self, value: Any, number: int) -> Any:
        """``["list" | "tuple" | …, class or null, items, attributes]``; a deque adds ``maxlen``, a set its table."""
        base = next(b for b in (list, tuple, set, frozenset, collections.deque) if isinstance(value, b))
        held = classes.tuple_items(value) if base is tuple else base.__iter__(value)  # a subclass may iterate otherwise
        items = self._items(held, number)
        own = None if type(value) is base else class_name(type(value))
        node = [base.__name__, own, items, self._instance_attributes(value, number) if own else []]
        if base in (set, frozenset):
            node.append(sets.layout_of(value))
        return [*node, value.maxlen] if base is collections.deque else node

    def _items(self, value: Iterable[Any], number: int) -> list[Any]:
        values = list(value)
        if atoms.all_plain(values):
            return values
        return [self.ref(item, number, f"[{i}]") for i, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], number: int) -> Any:
        """``["dict", class or null, [[key, value], …], attributes, default_factory, is its own __dict__]``."""
        if value is vars(builtins):  # in a namespace that exec() was given
            return self._remade(value, number)
        own = None if type(value) is dict else class_name(type(value))
        base: Any = collections.OrderedDict if isinstance(value, collections.OrderedDict) else dict
        items = list(base.items(value))  # a subclass may have changed what its own methods give
        if any(type(key) is int and key >= _LEAST_ADDRESS for key, _ in items):
            self._addressed.append(number)
        pairs = [
            [
                self.ref(key, number, f".key({i})"),
                self.ref(item, number, f"[{key!r}]" if atoms.is_atom(key) else f"[#{i}]"),
            ]
            for i, (key, item) in enumerate(items)
        ]
        its_own = own is not None and is_its_own_dict(value)
        attributes = self._instance_attributes(value, number) if own and not its_own else []
        factory = value.default_factory if isinstance(value, collections.defaultdict) else None
        return ["dict", own, pairs, attributes, self.ref(factory, number, ".default_factory"), its_own]

    def _object(self, value: Any, number: int) -> Any:
        """``["object", class, attributes]``: an instance that is no more than its attributes.

        Where these can't all be carried and the user's class has a ``state_dict``, that is added.
        """
        known = len(self.opaque)
        node = ["object", class_name(type(value)), self._instance_attributes(value, number)]
        if len(self.opaque) > known and protocol.is_users(type(value), self.scope):
            self._excuse(known)
            node.append(self.ref(value.state_dict(), number, ".state_dict()"))
        return node

    def _excuse(self, known: int) -> None:
        """Say nothing of what was found since so many objects that can't be carried were known."""
        for late in list(self.opaque)[known:]:
            del self.opaque[late]

    def _instance_attributes(self, value: Any, number: int) -> list[Any]:
        skipped = plumbing.skipped(value)
        held = attributes_of(value)
        slots = slot_names(type(value))
        data = {k: v for k, v in held.items() if k not in skipped or plumbing.is_hook_table(k, v)}
        data |= {name: held[name] for name in slots if name in held}
        return self._attributes(data, number)

    def _attributes(self, data: dict[str, Any], number: int) -> list[Any]:
        return [[name, self.ref(item, number, f".{name}")] for name, item in data.items() if name not in self.ignore]

    # --- libraries' own objects -------------------------------------------------------------

    def _table(self, value: Any, number: int) -> Any:
        """``["table", class, parts]``: see `survivor.state.tables`."""
        parts = tables.parts(value)
        if parts is None:
            return self._opaque(value, number)
        return ["table", type(value).__name__, self._attributes(parts, number)]

    def _holder(self, value: Any, number: int) -> Any:
        """``["holder", kind, parts]``: see `survivor.state.holders`."""
        parts = holders.parts(value)
        if parts is None:
            return (self._remade if is_remade(type(value), self.scope) else self._opaque)(value, number)
        if is_remade(type(value), self.scope):
            self.left[number] = value  # filled where the set-up has made it
        return ["holder", holders.name(value), self._attributes(parts, number)]

    def _file(self, value: Any, number: int) -> Any:
        """``["file", parts]`` of one that is read or stands in memory: see `survivor.state.readers`."""
        try:
            parts = readers.parts(value)
        except (OSError, ValueError):
            return self._opaque(value, number)
        if parts is None:
            return self._remade(value, number)
        return ["file", self.ref(parts, number, "")]

    # --- iterators --------------------------------------------------------------------------

    def _iterator(self, value: Any, number: int) -> Any:
        """``["iterator", kind, parts]``: see `survivor.state.iterators`."""
        parts = iterators.parts(value)
        if parts is None:
            return self._opaque(value, number)
        return ["iterator", iterators.kind_name(value), self._attributes(parts, number)]

    def _generator(self, value: types.GeneratorType[Any, Any, Any], number: int) -> Any:
        """``["generator", name, fields]``: see `survivor.state.generators`."""

        parts = generators.parts(value, self.scope)
        if parts is None:
            return self._opaque(value, number)
        self._note_cells(parts.get("cells", {}))
        return ["generator", generators.name(value, self.scope), self._attributes(parts, number)]
