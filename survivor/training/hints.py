"""What the names in a source say: which calls may reach a backward pass or an optimizer's step, and which can't.

No more than a hint: which loops train is seen when they do.
"""

from __future__ import annotations

import ast
from typing import Any

#: Calls that can't reach a backward pass, by the last part of their name.
HARMLESS_CALLS = frozenset(
    """
    append extend print len range int float str bool list tuple dict set isinstance format join split
    strip item items keys values add update pop get max min sum abs round zip enumerate data zero_ fill_
    clamp_ copy_ mul_ add_ div_ uniform_ normal_ size numel dim view reshape detach cpu numpy tolist
    clone lower upper replace write flush startswith endswith
    """.split()
)
#: Calls that give gradients: ``torch.autograd.grad``, and those of ``torch.func``.
_GRADIENTS = frozenset({"grad", "grad_and_value", "value_and_grad", "vjp", "jacrev"})
#: Calls that are a backward pass or an optimizer's step themselves.
TRAINING_CALLS = frozenset({"backward", "step", "autograd_grad"})


def call_name(node: ast.Call) -> str:
    """The last part of what is called: ``b`` in ``a.b()`` and in ``b()``; ``autograd_grad`` for gradients."""
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    return "autograd_grad" if name in _GRADIENTS else str(name)


def calls_in(nodes: list[Any]) -> set[str]:
    """The names of everything called anywhere below some nodes."""
    return {call_name(n) for root in nodes for n in ast.walk(root) if isinstance(n, ast.Call)}


def training_functions(trees: list[ast.Module]) -> frozenset[str]:
    """Names of functions whose calls reach a ``.backward()`` or ``.step()``, through any depth, by name."""
    calls: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                calls.setdefault(node.name, set()).update(calls_in(node.body))
            elif isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef) and item.name in ("__init__", "__call__"):
                        calls.setdefault(node.name, set()).update(calls_in(item.body))
    reached = set(TRAINING_CALLS)
    while True:
        more = {name for name, called in calls.items() if name not in reached and called & reached}
        if not more:
            return frozenset(reached)
        reached |= more
