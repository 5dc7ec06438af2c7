"""The control flow of a code object: what may run after each instruction, on every supported Python.

Edges are those of `dis`, and those of exceptions: from 3.11 they stand in a table; in 3.10 handlers are
pushed and popped at run time, so every path is followed with its stack of blocks. An edge too many does no
harm to the analyses that build on this, a missing one does; an unknown instruction therefore falls through
to the next.
"""

import dis
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from sys import version_info
from types import CodeType
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_NO_FALL_THROUGH = re.compile(r"RETURN_(VALUE|CONST)|RAISE_VARARGS|RERAISE|JUMP_(FORWARD|ABSOLUTE|BACK.*)")
_SWALLOWED = re.compile(r"POP_JUMP.*_IF_TRUE")
_MOST_BLOCKS = 20  # CPython 3.10 compiles no deeper nesting
_MOST_REMEMBERED = 4096


def per_code(make: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Remember what `make` returned for the same code objects and equal other arguments.

    Unlike `functools.lru_cache` it goes by the identity of codes: hashing one costs tens of microseconds
    from 3.12, too much for the head of every iteration.
    """
    known: dict[tuple[object, ...], tuple[object, _Result]] = {}

    def look_up(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        key = tuple([id(each) if isinstance(each, CodeType) else each for each in (*args, *kwargs.values())])
        found = known.get(key)
        if found is None:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            # Holding the arguments keeps their ids from being given to others.
            found = known[key] = ((args, kwargs), make(*args, **kwargs))
        return found[1]

    return look_up


def yields_of(code: CodeType) -> list[dis.Instruction]:
    """The instructions that a generator can be suspended at, in the order of its code."""
    return [each for each in flow_of(code).instructions if each.opname in ("YIELD_VALUE", "YIELD_FROM")]


class Flow:
    """The instructions of a code, and for each the places in that list of those that may follow.

    `successors` are reached when nothing is raised, `handlers` when something is; `swallows` are the edges,
    as pairs of places, that a ``with`` takes after its context manager has swallowed an exception.
    """

    def __init__(self, code: CodeType) -> None:
        """Reads the bytecode once."""
        self.instructions = list(dis.get_instructions(code))
        self.offsets = [each.offset for each in self.instructions]
        self.successors = self._find_successors()
        self.handlers = self._handlers_by_blocks() if version_info < (3, 11) else self._handlers_by_table(code)
        self.swallows = frozenset(self._find_swallows())

    def place_of(self, lasti: int) -> int:
        """Place of the instruction that byte offset `lasti` lies in, -1 before the first.

        Up to 3.12 a frame that has called another may stand in the inline cache that follows its instruction.
        """
        return bisect_right(self.offsets, lasti) - 1

    def _find_successors(self) -> list[list[int]]:
        jumps = {*dis.hasjrel, *dis.hasjabs}
        found = []
        for place, instruction in enumerate(self.instructions):
            following = []
            if not _NO_FALL_THROUGH.fullmatch(instruction.opname) and place + 1 < len(self.instructions):
                following.append(place + 1)
            # 3.10's SETUP_FINALLY names its handler as a jump does; that edge is an exception's.
            if instruction.opcode in jumps and not instruction.opname.startswith("SETUP_"):
                following.append(bisect_left(self.offsets, instruction.argval))
            found.append(following)
        return found

    def _handlers_by_table(self, code: CodeType) -> list[set[int]]:
        found: list[set[int]] = [set() for _ in self.instructions]
        entries: list[Any] = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined] # not in typeshed
        for entry in entries:
            first, end = bisect_left(self.offsets, entry.start), bisect_left(self.offsets, entry.end)
            for place in range(first, end):
                found[place].add(bisect_left(self.offsets, entry.target))
        return found

    def _handlers_by_blocks(self) -> list[set[int]]:
        """3.10: a block is the place of its handler, or None for one whose handler is running."""
        found: list[set[int]] = [set() for _ in self.instructions]
        start: tuple[int, tuple[int | None, ...]] = (0, ())
        seen, todo = {start}, [start]
        while todo:
            place, blocks = todo.pop()
            found[place].update([block for block in blocks if block is not None][-1:])
            for state in self._enter(place, blocks):
                if state not in seen and len(state[1]) <= _MOST_BLOCKS:
                    seen.add(state)
                    todo.append(state)
        return found

    def _enter(self, place: int, blocks: tuple[int | None, ...]) -> Iterator[tuple[int, tuple[int | None, ...]]]:
        """The places reached from `place` in 3.10, each with the stack of blocks it is reached with."""
        instruction = self.instructions[place]
        if instruction.opname.startswith("SETUP_"):
            handler = bisect_left(self.offsets, instruction.argval)
            yield handler, (*blocks, None)
            blocks = (*blocks, handler)
        elif instruction.opname in ("POP_BLOCK", "POP_EXCEPT", "END_ASYNC_FOR"):
            blocks = blocks[:-1]
        for successor in self.successors[place]:
            yield successor, blocks

    def _find_swallows(self) -> Iterator[tuple[int, int]]:
        """The jump after ``__exit__`` returned something true."""
        for place, instruction in enumerate(self.instructions):
            if instruction.opname == "WITH_EXCEPT_START":
                for later in range(place, len(self.instructions)):
                    if _SWALLOWED.fullmatch(self.instructions[later].opname):
                        yield later, self.successors[later][-1]
                        break


@per_code
def flow_of(code: CodeType) -> Flow:
    """The control flow of `code`."""
    return Flow(code)
