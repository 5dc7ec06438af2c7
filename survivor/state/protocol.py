"""PyTorch's protocol ``state_dict``/``load_state_dict``, as an object of any class may offer it."""

from __future__ import annotations

from typing import Any

from survivor.state.scope import Scope

_METHODS = ("state_dict", "load_state_dict")


def is_stateful(value: Any) -> bool:
    """Whether an object offers its state."""
    # asked of the class: an instance that makes up attributes may answer with anything
    return all(callable(getattr(type(value), name, None)) for name in _METHODS)


def is_users(kind: type, scope: Scope) -> bool:
    """Whether both methods of a class were written by the user."""
    owners = [next((base for base in kind.__mro__ if name in vars(base)), None) for name in _METHODS]
    return all(owner is not None and scope.owns_class(owner) for owner in owners)
