"""From a document back to live objects: merged in place into what the re-run script has built.

`survivor.state.pairing` has found the live object that stands in the place of each node. What is here
gives each node its value: in place where a live object was paired, newly made where there is none,
always through one memo, so that sharing holds.

A document comes from a folder that others can write. It selects among classes and functions that the
re-run script has loaded; nothing is imported, unpickled or called because a document names it.
"""

from __future__ import annotations

import collections
import enum
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError
from survivor.state import (
    atoms,
    caches,
    classes,
    exceptions,
    functions,
    generators,
    holders,
    iterators,
    parametrized,
    plumbing,
    readers,
    remade,
    sets,
    tables,
)
from survivor.state.decode_bulk import BulkDecoder
from survivor.state.pairing import MISSING
from survivor.state.scope import Scope, find_class, is_transparent, slot_names


class Decoder(BulkDecoder):
    """Restores one document; roots are paired first, then asked for their values.

    Args:
        nodes: the node table of the document.
        blobs: name to bytes.
        scope: tells the user's classes and modules.
    """

    def __init__(self, nodes: list[Any], blobs: Mapping[str, Blob], scope: Scope) -> None:
        super().__init__(nodes, blobs, scope)
        self.missing: list[int] = []
        self.lost: collections.Counter[str] = collections.Counter()  # what containers held and can't hold again
        self.reordered: list[int] = []  # sets that iterate in another order than they did
        self.changed: list[int] = []  # what is left to the set-up, and is not what it was
        self.driven = False  # something was run to put it back: what that touched must be restored again
        self._values: dict[int, Any] = {}

    # --- values -----------------------------------------------------------------------------

    def value(self, reference: Any) -> Any:
        """The restored object or value of a reference; `MISSING` where there can be none."""
        if not isinstance(reference, list):
            return atoms.decode_atom(reference)
        number = self._number(reference)
        if number in self._values:
            return self._values[number]
        node = self.nodes[number]
        maker: Callable[[int, list[Any], Any], Any] | None = getattr(self, f"_make_{node[0]}", None)
        if maker is None:
            raise FormatError(f"unknown kind of node {node[0]!r}")
        value = maker(number, node, self._live.get(number, MISSING))
        self._values[number] = value
        return value

    def anew(self, reference: list[Any]) -> Any:
        """The value made once more, as if nothing live had been found for it."""
        number = self._number(reference)
        self._values.pop(number, None)
        self._live.pop(number, None)
        return self.value(reference)

    def again(self) -> None:
        """Fill all objects once more; generators and iterators stay as they are."""
        settled = {n: v for n, v in self._values.items() if self.nodes[n][0] in ("generator", "iterator")}
        for number, value in self._values.items():
            if value is not MISSING:
                self._live[number] = value
        held, self._values = list(self._values), settled
        self.driven = False
        for number in held:  # what only a generator holds, too
            self.value([number])

    def _list_of(self, references: list[Any]) -> list[Any]:
        return [r if type(r) is not list and type(r) is not dict else self.value(r) for r in references]

    def _note_lost(self, values: list[Any], references: list[Any]) -> None:
        """Remember what had a place in a container and can't be had again."""
        for value, reference in zip(values, references, strict=True):
            if value is MISSING:
                node = self.nodes[self._number(reference)]
                self.lost[str(node[1]).rpartition(":")[2]] += 1

    def _mapping(self, pairs: list[Any]) -> dict[str, Any]:
        return {name: value for name, ref in pairs if (value := self.value(ref)) is not MISSING}

    def _set_attributes(self, target: Any, pairs: list[Any]) -> None:
        own = getattr(target, "__dict__", None)
        slots = set(slot_names(type(target)))
        values = self._mapping(pairs)
        kept = {name for name, _ in pairs}
        if own is not None:
            for name in [n for n in own if n not in kept]:
                if name not in plumbing.skipped(target):
                    del own[name]
                elif plumbing.is_hook_table(name, own[name]):
                    own[name].clear()
        for name, value in values.items():
            if name in slots:
                object.__setattr__(target, name, value)
            elif own is not None and own.get(name, MISSING) is not value:
                own[name] = value

    def _class_of(self, name: str | None, base: type) -> Any:
        if name is None:
            return base
        cls = classes.find(name, self.scope, self._alive)
        if cls is None or not issubclass(cls, base):
            raise FormatError(f"the checkpoint names a class that the script has not loaded: {name[:120]}")
        return cls

    # --- containers -------------------------------------------------------------------------

    def _make_list(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        if target is MISSING:
            cls = self._class_of(node[1], list)
            target = list.__new__(cls)
        self._values[number] = target
        items = self._list_of(node[2])
        items = [target[i] if x is MISSING and i < len(target) else x for i, x in enumerate(items)]
        self._note_lost(items, node[2])
        if len(target) != len(items) or any(a is not b for a, b in zip(list(target), items, strict=True)):
            list.__setitem__(target, slice(None), items)
        self._set_attributes(target, node[3])
        return target

    def _make_deque(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        if target is MISSING:
            cls = self._class_of(node[1], collections.deque)
            target = cls.__new__(cls)
            collections.deque.__init__(target, maxlen=node[4])
        self._values[number] = target
        items = self._list_of(node[2])
        if len(target) != len(items) or any(a is not b for a, b in zip(list(target), items, strict=True)):
            collections.deque.clear(target)  # ends the iterators that go over it
            collections.deque.extend(target, items)
        self._set_attributes(target, node[3])
        return target

    def _make_tuple(self, number: int, node: list[Any], live: Any) -> Any:
        items = self._list_of(node[2])
        same = live is not MISSING and len(live) == len(items)
        if same and all(a is b or atoms.same(a, b) for a, b in zip(live, items, strict=True)):
            return live
        cls = self._class_of(node[1], tuple)
        self._note_lost(items, node[2])
        target = classes.new_tuple(cls, items)
        if node[3]:
            self._values[number] = target
            self._set_attributes(target, node[3])
        return target

    def _make_set(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        if target is MISSING:
            cls = self._class_of(node[1], set)
            target = set.__new__(cls)
        self._values[number] = target
        items = self._list_of(node[2])
        layout = node[4] if len(node) > 4 else None
        same = list(target) == items and (layout is None or sets.layout_of(target) == layout)
        if not same and not sets.arrange(target, items, layout):
            self.reordered.append(number)
        self._set_attributes(target, node[3])
        return target

    def _make_frozenset(self, number: int, node: list[Any], live: Any) -> Any:
        items = self._list_of(node[2])
        if live is not MISSING and list(live) == items:
            return live
        made = frozenset.__new__(self._class_of(node[1], frozenset), items)
        if not sets.arrange_frozen(made, items, node[4] if len(node) > 4 else None):
            self.reordered.append(number)
        return made

    def _make_dict(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        cls = self._class_of(node[1], dict)
        if target is MISSING:
            target = cls.__new__(cls)
            if isinstance(target, collections.OrderedDict):
                collections.OrderedDict.__init__(target)
        self._values[number] = target
        if isinstance(target, collections.defaultdict):
            factory = self.value(node[4])
            if factory is not MISSING:
                target.default_factory = factory
        base: Any = collections.OrderedDict if isinstance(target, collections.OrderedDict) else dict
        keys = [self._key(key) for key, _ in node[2]]
        values = self._list_of([item for _, item in node[2]])
        values = [base.get(target, k, v) if v is MISSING else v for k, v in zip(keys, values, strict=True)]
        self._note_lost(values, [item for _, item in node[2]])
        current = list(base.items(target))
        same = len(current) == len(keys) and all(
            (k is key or atoms.same(k, key)) and v is value
            for (k, v), key, value in zip(current, keys, values, strict=True)
        )
        if not same:
            base.clear(target)
            for key, value in zip(keys, values, strict=True):
                if key is not MISSING and value is not MISSING:
                    base.__setitem__(target, key, value)
        if len(node) > 5 and node[5]:
            target.__dict__ = target  # its items are its attributes
        else:
            self._set_attributes(target, node[3])
        return target

    def _key(self, reference: Any) -> Any:
        if isinstance(reference, dict) and reference.get("~", [None])[0] == "id":
            return id(self.value([reference["~"][1]]))  # the key was the id() of an object
        return self.value(reference)

    def _make_objects(self, number: int, node: list[Any], live: Any) -> Any:
        items = self._list_of(node[3])
        if isinstance(live, np.ndarray) and list(live.shape) == node[2] and live.dtype.hasobject:
            target = live
        else:
            target = np.empty(tuple(node[2]), dtype=object)
        flat = np.empty(len(items), dtype=object)
        flat[:] = items
        target[...] = flat.reshape(target.shape)
        return target

    # --- instances, classes, functions ------------------------------------------------------

    def _make_object(self, number: int, node: list[Any], live: Any) -> Any:
        target = live
        if target is MISSING:
            cls = self._class_of(node[1], object)
            if not is_transparent(cls):
                raise FormatError(f"an instance of {node[1][:120]} can't be made from attributes")
            target = cls() if cls is types.SimpleNamespace else object.__new__(cls)
            for name, item in plumbing.new(target).items():
                target.__dict__.setdefault(name, item)
        elif parametrized.could_become(node[1], live):
            parametrized.become(live, parametrized.tensors_of(self.nodes, node))
        self._values[number] = target
        self._set_attributes(target, node[2])
        if len(node) > 3:
            target.load_state_dict(self.value(node[3]))
        if live is MISSING:
            self._leave_unopened(target, node[2])
        if live is MISSING and isinstance(target, torch.optim.Optimizer):
            target._patch_step_function()
        return target

    def _leave_unopened(self, target: Any, pairs: list[Any]) -> None:
        """What an object that is made anew had opened when it first needed it: it has yet to."""
        for name, reference in pairs:
            node = self.nodes[self._number(reference)] if isinstance(reference, list) else []
            late = len(node) > 2 and node[0] == "remade" and str(node[2]).startswith(remade.LAZY)
            if late and self.value(reference) is MISSING and hasattr(target, "__dict__"):
                target.__dict__.setdefault(name, None)

    def _make_class(self, number: int, node: list[Any], live: Any) -> Any:
        target = live if live is not MISSING else find_class(node[1])
        if target is None:
            return self._absent(number)
        self._values[number] = target
        if self.scope.owns_class(target):
            for name, value in self._mapping(node[2]).items():
                if vars(target).get(name, MISSING) is not value:
                    type.__setattr__(target, name, value)
        return target

    def _make_function(self, number: int, node: list[Any], live: Any) -> Any:
        # cells, a bound object and a partial's parts can't be exchanged in a live one
        parts = {n: self.value(r) for n, r in node[2] if not (n == "__dict__" or n in functions.DEFAULTS)}
        known = live if live is not MISSING else None
        target = self.functions.find(node[1], parts, known) or known
        if target is None:
            return self._absent(number)
        self._values[number] = target
        if isinstance(target, types.FunctionType):
            for name, reference in node[2]:
                value = self.value(reference)
                if name == "__dict__" and isinstance(value, dict):
                    target.__dict__.update(value)
                elif name in functions.DEFAULTS and self._is_whole(value):
                    setattr(target, name, value)
        return target

    @staticmethod
    def _is_whole(values: Any) -> bool:
        """Whether all default values could be had."""
        return all(value is not MISSING for value in (values.values() if isinstance(values, dict) else values))

    def _make_cache(self, number: int, node: list[Any], live: Any) -> Any:
        if live is MISSING:
            return self._absent(number)
        self._values[number] = live
        caches.rebuild(live, self._mapping(node[1])["entries"], MISSING)
        return live

    def _make_cell(self, number: int, node: list[Any], live: Any) -> Any:
        cell = live if isinstance(live, types.CellType) else types.CellType()
        self._values[number] = cell
        if len(node) > 1:
            value = self.value(node[1])
            if value is not MISSING:
                cell.cell_contents = value
        elif functions.cell_full(cell):
            del cell.cell_contents
        return cell

    def _make_bytearray(self, number: int, node: list[Any], live: Any) -> Any:
        target = live if live is not MISSING else bytearray()
        target[:] = atoms.decode_atom(node[1])
        return target

    def _make_enum(self, number: int, node: list[Any], live: Any) -> Any:
        cls = find_class(node[1])
        if cls is not None and issubclass(cls, enum.Flag) and isinstance(node[2], int):
            return cls(node[2])
        members = getattr(cls, "__members__", {}) if cls is not None and classes.is_enum(cls) else {}
        if node[2] not in members:
            raise FormatError(f"the checkpoint names an enum member that does not exist: {node[1]} {node[2]}")
        member = members[node[2]]
        self._values[number] = member
        if len(node) > 3 and self.scope.owns_class(type(member)):
            for name, value in self._mapping(node[3]).items():
                setattr(member, name, value)
        return member

    def _make_plain(self, number: int, node: list[Any], live: Any) -> Any:
        same = live is not MISSING and classes.plain_part(live) == node[2]
        target = live if same else classes.new_plain(self._class_of(node[1], object), node[2])
        self._values[number] = target
        self._set_attributes(target, node[3])
        return target

    def _make_exception(self, number: int, node: list[Any], live: Any) -> Any:
        parts = dict(node[2])
        target = live
        if target is MISSING:
            target = exceptions.new(node[1], lambda: self.value(parts["args"]))
        if target is None:
            return self._absent(number)
        self._values[number] = target
        exceptions.fill(target, self._mapping(node[2]))
        return target

    # --- what is not carried ----------------------------------------------------------------

    def _absent(self, number: int) -> Any:
        self.missing.append(number)
        return MISSING

    def _make_opaque(self, number: int, node: list[Any], live: Any) -> Any:
        return live if live is not MISSING else self._absent(number)

    def _make_remade(self, number: int, node: list[Any], live: Any) -> Any:
        marked = len(node) > 2
        if live is MISSING:
            if marked and not remade.may_be_late(node[2]):
                self.changed.append(number)
            return self._absent(number)
        if marked and remade.mark(live, self.scope) != node[2]:
            self.changed.append(number)
        return live

    def _make_progress(self, number: int, node: list[Any], live: Any) -> Any:
        if live is MISSING:
            return self._absent(number)
        live.n = live.last_print_n = live.initial = node[2]
        return live

    def _make_stateful(self, number: int, node: list[Any], live: Any) -> Any:
        if live is MISSING:
            return self._absent(number)
        self._values[number] = live
        live.load_state_dict(self.value(node[2]))
        return live

    # --- libraries' own objects -------------------------------------------------------------

    def _make_table(self, number: int, node: list[Any], live: Any) -> Any:
        return tables.rebuild(node[1], self._mapping(node[2]), live)

    def _make_holder(self, number: int, node: list[Any], live: Any) -> Any:
        if live is not MISSING:
            self._values[number] = live
        made = holders.rebuild(node[1], self._mapping(node[2]), live, MISSING)
        return made if made is not MISSING else self._absent(number)

    def _make_file(self, number: int, node: list[Any], live: Any) -> Any:
        return readers.restore(self.value(node[1]), None if live is MISSING else live)

    # --- iterators --------------------------------------------------------------------------

    def _make_iterator(self, number: int, node: list[Any], live: Any) -> Any:
        parts = self._mapping(node[2])
        if node[1] == "loader":
            self.driven = True  # samplers and data sets are moved on the way to the position
            from survivor.state import loaders

            if live is not MISSING and iterators.is_fresh(live):
                loaders.reposition(live, parts["position"])
                return live
            return loaders.remake(parts["loader"], parts["position"])
        made = iterators.rebuild(node[1], parts)
        if made is None:
            raise FormatError(f"unknown kind of iterator {node[1]!r}")
        return made

    def _make_generator(self, number: int, node: list[Any], live: Any) -> Any:
        made = generators.rebuild(node[1], dict(node[2]), live, self)
        return made if made is not None else self._absent(number)
