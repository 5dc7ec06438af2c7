"""A document as a PyTorch user knows it: state dicts under the names of variables, for use without survivor.

No class of the script is needed, and none is looked up: what a module, an optimizer, a scheduler or a scaler
is, its attributes tell, and its state dict is put together from them as torch's own method does it. What a
class has changed about its ``state_dict`` (an override, hooks, ``get_extra_state``) can't be known here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError
from survivor.state import atoms, tensors

#: Stands for what has no plain form: functions, files, instances of classes.
NOTHING: Any = object()
_DEEPEST = 200
_MOST_VALUES = 10_000_000
_MODULE = {"_parameters", "_buffers", "_modules"}
_OPTIMIZER = {"state", "param_groups", "defaults"}
_SCALER = ("_growth_factor", "_backoff_factor", "_growth_interval")
_CONTAINERS = ("list", "tuple", "dict", "deque")


class Plain:
    """The plain values of one level's document.

    Args:
        document: a level, see `survivor.training.capture`.
        blobs: its bytes, by the names that the document uses.

    Attributes:
        models: which of ``states()`` are modules, without those that are part of another.
    """

    def __init__(self, document: Mapping[str, Any], blobs: Mapping[str, Blob]) -> None:
        self._nodes: list[Any] = document["nodes"]
        self._spaces = [(_prefix(entry["module"]), entry["variables"]) for entry in document["modules"]]
        self._spaces.sort(key=lambda space: space[0] != "")
        self._spaces += [("", entry["variables"]) for entry in document["frames"]]
        self._spaces.append(("", document["tracked"]))
        self._memory = tensors.Memory(blobs)
        self._tensors: dict[int, torch.Tensor] = {}
        self._left = _MOST_VALUES
        self.models: list[str] = []

    def states(self) -> dict[str, Any]:
        """The state dicts of all modules, optimizers, schedulers and scalers, and dicts of tensors, by path.

        A path is what the user would write, the shortest there is: ``model``, ``trainer.ema``, ``nets['g']``.
        Lone parameters, which belong to no module, are there by themselves.
        """
        found: dict[str, Any] = {}
        seen: set[int] = set()
        inside: set[int] = set()
        parts: set[int] = set()
        modules: dict[str, int] = {}
        queue = deque((prefix + name, ref, 0) for prefix, variables in self._spaces for name, ref in variables)
        lone: list[tuple[str, int]] = []
        while queue:
            path, reference, depth = queue.popleft()
            number = self._number(reference)
            if number is None or number in seen or depth > _DEEPEST:
                continue
            seen.add(number)
            if (state := self._state_of(number, inside)) is not None:
                if state and path not in found:
                    found[path] = state
                    modules |= {path: number} if self._attributes(number).keys() >= _MODULE else {}
            elif self._is_parameter(number):
                lone.append((path, number))
            else:
                queue.extend((path + label, ref, depth + 1) for label, ref in self._parts(number))
        for number in modules.values():
            self._collect_parts(number, parts)
        self.models = [path for path, number in modules.items() if number not in parts]
        found |= {path: self._tensor(number) for path, number in lone if number not in inside and path not in found}
        return found

    def _count(self) -> None:
        """Bound the work: shared nodes of a hostile document could unfold without end."""
        self._left -= 1
        if self._left < 0:
            raise FormatError(f"the state unfolds to more than {_MOST_VALUES} values")

    # --- what an object is ----------------------------------------------------------------------

    def _number(self, reference: Any) -> int | None:
        if not isinstance(reference, list):
            return None
        if len(reference) != 1 or type(reference[0]) is not int or not 0 <= reference[0] < len(self._nodes):
            raise FormatError(f"not a reference: {str(reference)[:80]}")
        return reference[0]

    def _attributes(self, number: int | None) -> dict[str, Any]:
        node = self._nodes[number] if number is not None else None
        return dict(node[2]) if node and node[0] == "object" else {}

    def _state_of(self, number: int, inside: set[int]) -> dict[Any, Any] | None:
        """The state dict of a node, or ``None`` if it has none; its parameters are added to ``inside``."""
        node = self._nodes[number]
        of_tensors = node[0] == "dict" and node[2] and all(self._is_tensor(ref) for _, ref in node[2])
        if node[0] == "stateful" or of_tensors:
            state = self._plain([number] if of_tensors else node[2])
            return state if isinstance(state, dict) else None
        attributes = self._attributes(number)
        if attributes.keys() >= _MODULE:
            return self._module(number, "", inside, 0)
        if attributes.keys() >= _OPTIMIZER:
            return self._optimizer(attributes)
        if self._is_scheduler(attributes):
            return self._scheduler(attributes, 0)
        return self._scaler(attributes) if attributes.keys() >= set(_SCALER) else None

    def _collect_parts(self, number: int, parts: set[int]) -> None:
        """Add the numbers of all modules inside a module."""
        attributes = self._attributes(number)
        for _, reference in self._pairs(attributes["_modules"]) if "_modules" in attributes else ():
            inner = self._number(reference)
            if inner is not None and inner not in parts:
                parts.add(inner)
                self._collect_parts(inner, parts)

    def _is_scheduler(self, attributes: dict[str, Any]) -> bool:
        wrapped = self._attributes(self._number(attributes.get("optimizer")))
        return wrapped.keys() >= _OPTIMIZER and bool({"last_epoch", "_schedulers"} & attributes.keys())

    def _is_tensor(self, reference: Any) -> bool:
        number = self._number(reference)
        return number is not None and self._nodes[number][0] == "tensor" and "constant" not in self._nodes[number][2]

    def _is_parameter(self, number: int) -> bool:
        node = self._nodes[number]
        return bool(node[0] == "tensor" and node[2]["requires_grad"] and node[2]["leaf"])

    def _parts(self, number: int) -> Iterator[tuple[str, Any]]:
        """What an object holds, with what is added to its path."""
        node = self._nodes[number]
        if node[0] in ("list", "tuple", "deque"):
            yield from ((f"[{i}]", ref) for i, ref in enumerate(node[2]))
        elif node[0] == "dict":
            yield from ((f"[{key!r}]", ref) for key, ref in node[2] if not isinstance(key, (list, dict)))
        elif node[0] == "object":
            yield from ((f".{name}", ref) for name, ref in node[2])

    # --- state dicts ----------------------------------------------------------------------------

    def _pairs(self, reference: Any) -> list[tuple[Any, Any]]:
        number = self._number(reference)
        node = self._nodes[number] if number is not None else None
        if not node or node[0] != "dict":
            raise FormatError("a module or optimizer lacks one of its dicts")
        return [(key, ref) for key, ref in node[2]]

    def _module(self, number: int | None, prefix: str, inside: set[int], depth: int) -> dict[str, torch.Tensor]:
        self._count()
        attributes = self._attributes(number)
        state: dict[str, torch.Tensor] = OrderedDict()
        if depth > _DEEPEST or not attributes.keys() >= _MODULE:
            return state
        hidden = self._plain(attributes.get("_non_persistent_buffers_set")) or ()
        for table in ("_parameters", "_buffers"):
            for name, reference in self._pairs(attributes[table]):
                held = self._number(reference)
                if held is not None:
                    inside.add(held)
                    if table == "_parameters" or name not in hidden:
                        state[prefix + name] = self._tensor(held)
        for name, reference in self._pairs(attributes["_modules"]):
            state |= self._module(self._number(reference), f"{prefix}{name}.", inside, depth + 1)
        return state

    def _optimizer(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """As ``torch.optim.Optimizer.state_dict``: parameters are numbered along the groups."""
        order: dict[int, int] = {}
        groups, start = [], 0
        listed = self._number(attributes["param_groups"])
        for reference in self._nodes[listed][2] if listed is not None else ():
            pairs = self._pairs(reference)
            members = next((ref for key, ref in pairs if key == "params"), None)
            held = self._number(members)
            numbers = [self._number(ref) for ref in (self._nodes[held][2] if held is not None else ())]
            for place, number in enumerate(numbers, start):
                order.setdefault(number if number is not None else -1, place)
            group = self._mapping([(key, ref) for key, ref in pairs if key != "params"], 0)
            groups.append(group | {"params": [order[number if number is not None else -1] for number in numbers]})
            start += len(numbers)
        state: dict[Any, Any] = {}
        for key, reference in self._pairs(attributes["state"]):
            number = self._number(key)
            name = order.get(number, NOTHING) if number is not None else atoms.decode_atom(key)
            value = self._plain(reference)
            if name is not NOTHING and value is not NOTHING:
                state[name] = value
        return {"state": state, "param_groups": groups}

    def _scheduler(self, attributes: dict[str, Any], depth: int) -> dict[str, Any]:
        """As the ``state_dict`` of `torch.optim.lr_scheduler`: all attributes but the optimizer and functions."""
        self._count()
        state: dict[str, Any] = {}
        for name, reference in attributes.items():
            held = self._number(reference)
            items = self._nodes[held][2] if held is not None and self._nodes[held][0] in _CONTAINERS else []
            if name == "_schedulers" and depth < _DEEPEST:
                inner = [self._attributes(self._number(item)) for item in items]
                state[name] = [self._scheduler(one, depth + 1) for one in inner]
            elif name == "lr_lambdas":
                state[name] = [self._callable_state(item) for item in items]
            elif name == "_scale_fn_custom":
                state[name] = self._callable_state(reference)
            elif name != "optimizer" and (value := self._plain(reference)) is not NOTHING:
                state[name] = value
        return state

    def _callable_state(self, reference: Any) -> dict[str, Any] | None:
        attributes = self._attributes(self._number(reference))
        return self._mapping(list(attributes.items()), 0) if attributes else None

    def _scaler(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """As ``torch.amp.GradScaler.state_dict``."""
        plain = self._mapping(list(attributes.items()), 0)
        if not plain.get("_enabled"):
            return {}
        scale, tracker = plain.get("_scale"), plain.get("_growth_tracker")
        return {
            "scale": float(plain["_init_scale"] if scale is None else scale),
            **{name.lstrip("_"): plain[name] for name in _SCALER},
            "_growth_tracker": int(plain["_init_growth_tracker"] if tracker is None else tracker),
        }

    # --- values ---------------------------------------------------------------------------------

    def _plain(self, reference: Any, depth: int = 0) -> Any:
        """The plain value of a reference, ``NOTHING`` where there is none."""
        number = self._number(reference)
        if number is None:
            return atoms.decode_atom(reference)
        if depth > _DEEPEST:
            return NOTHING
        self._count()
        node = self._nodes[number]
        if node[0] == "tensor":
            return NOTHING if "constant" in node[2] else self._tensor(number)
        if node[0] == "dict":
            value = self._mapping([(key, ref) for key, ref in node[2]], depth)
            return OrderedDict(value) if node[1] == "collections:OrderedDict" else value
        made: Callable[[Any], Any] | None = {"list": list, "tuple": tuple, "set": set, "frozenset": set}.get(node[0])
        if made is not None:
            items = [self._plain(item, depth + 1) for item in node[2]]
            return made([item for item in items if item is not NOTHING])
        return NOTHING

    def _mapping(self, pairs: list[tuple[Any, Any]], depth: int) -> dict[Any, Any]:
        """A dict of what has a plain form; keys are plain values or tuples of them."""
        result = {}
        for key, reference in pairs:
            name, value = self._plain(key, depth + 1), self._plain(reference, depth + 1)
            if name is not NOTHING and value is not NOTHING and not isinstance(name, (list, dict, set)):
                result[name] = value
        return result

    def _tensor(self, number: int) -> torch.Tensor:
        """A tensor, on the CPU; those that shared memory still do."""
        if number not in self._tensors:
            node = self._nodes[number]
            if node[0] != "tensor":
                raise FormatError("a module or optimizer holds something that is no dense tensor")
            fields = node[2] | {"device": "cpu"}
            self._tensors[number] = self._memory.new_tensor(fields, torch.Tensor).detach()
        return self._tensors[number]


def _prefix(module: str) -> str:
    return "" if module == "__main__" else f"{module}."
