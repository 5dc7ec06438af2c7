"""Modules that training has parametrized: ``torch`` gives each a class of its own, made at that moment.

A re-run's set-up has the module as it was before; it is given such a class, as ``register_parametrization`` would,
and its parameters come as its attributes. The other way, a parametrization that training has removed, needs nothing.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils import parametrize

_PREFIX = "torch.nn.utils.parametrize:Parametrized"


def could_become(name: str, live: Any) -> bool:
    """Whether a live module can become one of the class that a document names."""
    if not isinstance(live, nn.Module) or parametrize.is_parametrized(live):
        return False
    return name == _PREFIX + type(live).__name__


def become(module: nn.Module, tensors: list[str]) -> None:
    """Give a module a class whose instances compute these of their tensors."""
    parametrize._inject_new_class(module)  # type: ignore[no-untyped-call, unused-ignore]
    for name in tensors:
        # first out of the way: a property of the class would not be seen otherwise
        module._parameters.pop(name, None)
        module._buffers.pop(name, None)
        parametrize._inject_property(module, name)


def tensors_of(nodes: list[Any], node: list[Any]) -> list[str]:
    """The names of the tensors that are parametrized in the module of a node."""
    for name in ("_modules", "parametrizations", "_modules"):
        pairs = node[2] if node and len(node) > 2 else []
        reference = next((ref for key, ref in pairs if key == name), None)
        node = nodes[reference[0]] if isinstance(reference, list) else []
    return [key for key, _ in node[2] if isinstance(key, str)] if node and node[0] == "dict" else []
