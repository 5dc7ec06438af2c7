"""Whether an autograd graph that is alive at a loop's head is used again: if so, it is no safe point.

A graph can't be stored. At most heads the tensors that still hang on one are leftovers (the last loss),
or are detached by the script first thing (a hidden state): they are carried by value. A script may also
collect losses over several iterations and go backward through all of them (REINFORCE, truncated
back-propagation): a checkpoint between would lose the graph.

Which it is can only be seen from what training does: a hook is put on the graph's node, and if a later
backward pass runs through it, that place (a path in the state, indices left out) is known to be *used*.
A place whose graph was let alone by two iterations with a backward pass is known to be *dead*.
"""

from __future__ import annotations

from typing import Any

import torch

_ITERATIONS_TO_TRUST = 2


class Graphs:
    """What has been seen of graphs at the heads of loops.

    Attributes:
        why: the place that kept the last head from being a safe point.
        backwards: how many backward passes and optimizer steps have run.
    """

    def __init__(self) -> None:
        self.why = ""
        self._used: set[str] = set()
        self._dead: set[str] = set()
        self._observed: dict[str, int] = {}
        self.backwards = 0
        self._seen: dict[str, int] = {}

    @property
    def watching(self) -> bool:
        """Whether some place is still being observed."""
        return bool(self._observed)

    def tick(self, loop: str) -> None:
        """A head of the loop of that key: it tells of the places found at its own heads only."""
        if self._seen.get(loop) == self.backwards:
            return
        self._seen[loop] = self.backwards
        for path in list(self._observed):
            if not path.endswith(f"({loop})"):
                continue
            self._observed[path] += 1
            if self._observed[path] >= _ITERATIONS_TO_TRUST:
                del self._observed[path]
                self._dead.add(path)

    def open_paths(self, found: list[tuple[str, torch.Tensor]]) -> list[str]:
        """The places, of those found at a head, whose graph is used by what follows, or may be."""
        result = []
        for path, tensor in found:
            if path not in self._used:
                self._watch(path, tensor)  # belief is checked as long as it is relied on
            if path in self._dead:
                continue
            result.append(path)
            if path not in self._used:
                self._observed.setdefault(path, 0)
        return result

    def closed(self, paths: list[str]) -> bool:
        """Whether places that were open when a head's state was taken have turned out to be dead since."""
        still_open = [path for path in paths if path not in self._dead]
        self.why = f"the graph of {still_open[0]} may be used again" if still_open else ""
        return not still_open

    def used(self, paths: list[str]) -> bool:
        """Whether one of the places is known to be used by later iterations."""
        return any(path in self._used for path in paths)

    def _watch(self, path: str, tensor: torch.Tensor) -> None:
        node: Any = tensor.grad_fn

        def used(*_: Any) -> None:
            self._used.add(path)
            self._dead.discard(path)
            self._observed.pop(path, None)

        node.register_prehook(used)
