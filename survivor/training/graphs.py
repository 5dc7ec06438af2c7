"""Whether an autograd graph that is alive at a loop's head is used again: if so, it is no safe point.

A graph can't be stored. At most heads the tensors that still hang on one are leftovers (the last loss, a hidden
state that the script detaches first thing): they are carried by value. A script may also collect losses
over several iterations and go backward through all of them (REINFORCE, truncated back-propagation): a
checkpoint between would lose the graph.

Most leftovers can be told from the graph itself: a backward pass has *spent* it (its saved tensors are
freed), or an optimizer has changed weights that it had saved. Going backward through either is an error in
PyTorch, so no script does.

Of what is not spent only training can tell: a hook is put on the graph's node, and if a later backward pass runs
through it, that place (a path in the state, indices left out) is known to be *used*. A place is known to be
*dead* when an iteration with a backward pass has twice put another graph there, of which the old one is no
part, and nobody had used the old one. One that only grows (a list of losses that nobody goes backward through) is
taken as dead after many iterations, and the user is told so. A graph that has been freed, unused, is dead at once.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_REPLACEMENTS_TO_TRUST = 2
#: The same for a place whose graph goes on growing: longer than people accumulate.
_ITERATIONS_OF_GROWTH = 64
#: Backward passes after which the graph that a loop left when it ended is taken as dead.
_PASSES_TO_TRUST = 256
#: How far into a graph we look; what has been spent is met near its root.
_MOST_NODES = 2000
_SPENT = ("backward through the graph a second time", "modified by an inplace operation")


@dataclass
class Head:
    """A moment of a loop: the running loop by its number, bodies that have ended, backward passes so far."""

    loop: int
    done: int
    backwards: int

    def follows(self, other: Head) -> bool:
        """Whether one iteration, with a backward pass in it, lies between."""
        return self.loop == other.loop and self.done == other.done + 1 and self.backwards > other.backwards


@dataclass
class _Place:
    """What is being seen of one place.

    Attributes:
        head: where it was seen last.
        numbers: of the nodes that its tensors hung on then; the nodes themselves would keep their graphs in memory.
        replaced, grown: iterations in which its graph was exchanged for another, or became part of a larger one.
    """

    head: Head
    numbers: set[int]
    replaced: int = 0
    grown: int = 0


class Graphs:
    """What has been seen of graphs at the heads of loops.

    Attributes:
        why: the place that kept the last head from being a safe point.
        backwards: how many backward passes and optimizer steps have run.
    """

    def __init__(self, warn: Callable[[str], None] = lambda _: None) -> None:
        self.why = ""
        self.backwards = 0
        self._warn = warn
        self._used: set[str] = set()
        self._dead: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._saved_names: dict[type, list[str]] = {}
        self._hooked = False
        self._watchers: dict[str, list[weakref.ref[Any]]] = {}

    def install(self) -> None:
        """Notice hooks on saved tensors (activation checkpointing): then reading one may run code of the user's."""
        hooks = torch.autograd.graph.saved_tensors_hooks
        enter = hooks.__enter__

        def noticed(context: Any) -> None:
            self._hooked = True
            enter(context)

        hooks.__enter__ = noticed  # type: ignore[method-assign]

    def open_paths(self, found: list[tuple[str, torch.Tensor]], loop: int = 0, done: int = 0) -> list[str]:
        """The places, of those found at a head, whose graph is used by what follows, or may be."""
        head = Head(loop, done, self.backwards)
        groups: dict[str, list[Any]] = {}
        usable: set[Any] = set()
        for path, _ in found:
            self._watchers[path] = []
        for path, tensor in found:
            node: Any = tensor.grad_fn
            self._watch(path, node)  # belief is checked as long as it is relied on
            if not self._is_spent(node, usable):
                groups.setdefault(path, []).append(node)
        return [path for path, nodes in groups.items() if not self._is_dead(path, nodes, head)]

    def _is_dead(self, path: str, nodes: list[Any], head: Head) -> bool:
        if path in self._used:
            return False
        if path in self._dead:
            return True
        numbers = {node._sequence_nr() for node in nodes}
        place = self._places.setdefault(path, _Place(head, numbers))
        if head.follows(place.head):
            if _contains(nodes, place.numbers):
                place.grown, place.replaced = place.grown + 1, 0
            else:
                place.replaced += 1
        place.head, place.numbers = head, numbers
        if place.replaced >= _REPLACEMENTS_TO_TRUST:
            self._trust(path)
            return True
        if place.grown >= _ITERATIONS_OF_GROWTH:
            self._warn(
                f"{path} has kept its autograd graph for {place.grown} iterations without a backward pass "
                "through it: it is carried without the graph; detach() what is only kept to look at"
            )
            self._trust(path)
            return True
        return False

    def _trust(self, path: str) -> None:
        del self._places[path]
        self._dead.add(path)

    def closed(self, paths: list[str]) -> bool:
        """Whether places that were open when a head's state was taken have turned out to be dead since."""
        still_open = [path for path in paths if path not in self._dead and not self._was_left_alone(path)]
        self.why = f"the graph of {still_open[0]} may be used again" if still_open else ""
        return not still_open

    def _was_left_alone(self, path: str) -> bool:
        if path not in self._used and self._watchers.get(path) and all(w() is None for w in self._watchers[path]):
            return True  # the graph is gone, and a hook lives as long as its node
        place = self._places.get(path)
        return place is not None and self.backwards - place.head.backwards >= _PASSES_TO_TRUST

    def used(self, paths: list[str]) -> bool:
        """Whether one of the places is known to be used by later iterations."""
        return any(path in self._used for path in paths)

    def _watch(self, path: str, node: Any) -> None:
        if path in self._used:
            return

        def used(*_: Any) -> None:
            self._used.add(path)
            self._places.pop(path, None)
            if path in self._dead:
                self._dead.discard(path)
                self._warn(
                    f"{path} was carried without its autograd graph, which is used after all: "
                    "a checkpoint made before may not resume exactly; the next ones will"
                )

        node.register_prehook(used)
        self._watchers[path].append(weakref.ref(used))

    def _is_spent(self, root: Any, usable: set[Any]) -> bool:
        """Whether a backward pass through a node must fail; `usable` are nodes that are known not to be in the way."""
        if self._hooked:
            return False
        seen, waiting = {root}, [root]
        while waiting and len(seen) < _MOST_NODES:
            node = waiting.pop()
            if node in usable:
                continue
            if self._saved_is_gone(node):
                return True
            for following, _ in node.next_functions:
                if following is not None and following not in seen:
                    seen.add(following)
                    waiting.append(following)
        usable |= seen
        return False

    def _saved_is_gone(self, node: Any) -> bool:
        kind = type(node)
        names = self._saved_names.get(kind)
        if names is None:
            names = [name for name in dir(kind) if name.startswith("_saved_")]
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                names = ["saved_tensors"]
            self._saved_names[kind] = names
        for name in names:
            try:
                getattr(node, name)
            except RuntimeError as error:
                if any(text in str(error) for text in _SPENT):
                    return True
        return False


def _contains(roots: list[Any], numbers: set[int]) -> bool:
    """Whether a node of these numbers is part of a graph."""
    seen, waiting = set(roots), list(roots)
    while waiting and len(seen) < 20 * _MOST_NODES:
        node = waiting.pop()
        if node._sequence_nr() in numbers:
            return True
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return bool(waiting)  # too large to tell
