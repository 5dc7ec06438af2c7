"""Which variables can still be read after a point of a running function or module.

A loop leaves behind variables that the next iteration writes before it reads them: the batch, the output,
the loss with its graph. A checkpoint need not carry them, and often could not. This module proves it on the
bytecode: a backward pass over the control flow, exceptions included, gives for each instruction the variables
that may be read later before they are written. Whatever is not understood counts as a read, so an answer may
name too many live variables, never too few.

Reading the source instead (`ast`) was rejected: the rules of ``finally``, ``with``, ``else`` and inlined
comprehensions would have to be written a second time, and bytecode is what runs, after the rewrite too.

A ``with`` costs precision: its context manager could swallow an exception, so that a variable set in the
block is old afterwards. Hence ``with autocast(): loss = ...`` leaves `loss` live, unless the caller says by
`withs_swallow` that no context manager here does that; `may_swallow` tells whether the code gives reason to
doubt.

Known limits. A library that looks at its caller's frame through a name that gives no hint is not seen; the
common ones are listed below. From 3.12 a variable of a list comprehension that is a variable of the
function too counts as read by the comprehension.
"""

import dis
import re
from collections.abc import Iterable, Iterator
from inspect import CO_OPTIMIZED
from sys import version_info
from types import CodeType
from typing import NamedTuple

from survivor.training.bytecode import Flow, flow_of, per_code

# Builtins that read the variables of the frame that calls them, when loaded by name: `model.eval()` is
# another matter.
_READS_LOCALS = frozenset({"locals", "eval", "exec", "vars", "dir"})
_READS_GLOBALS = frozenset({"globals", "eval", "exec"})
# Those of them that read the frame only when called without an argument.
_HARMLESS_WITH_ARGUMENT = frozenset({"vars", "dir"})
# Names that lead to a frame or a namespace however they are reached, as an attribute too.
_LEADS_TO_LOCALS = frozenset(
    {"f_locals", "_getframe", "currentframe", "save_hyperparameters", "builtins", "__builtins__"}
)
_LEADS_TO_GLOBALS = _LEADS_TO_LOCALS | {"f_globals", "__globals__", "__main__"}
# df.query("loss < @limit") reads `limit` from the caller's frame.
_PANDAS_VARIABLE = re.compile(r"@\s*[A-Za-z_]")
# Context managers that swallow exceptions, and the ways to write one as a generator.
_SWALLOWERS = frozenset(
    {
        "suppress",
        "ExitStack",
        "AsyncExitStack",
        "raises",
        "assertRaises",
        "contextmanager",
        "asynccontextmanager",
    }
)

_FAST = re.compile(r"(LOAD|STORE|DELETE)_FAST(_AND_CLEAR)?")
_NO_MEANING = frozenset({"PUSH_NULL", "PRECALL", "EXTENDED_ARG"})
_OF_SOME_OBJECT = re.compile(r"ATTR|METHOD|IMPORT")
_NO_GLOBAL = re.compile(r"^STORE_|ATTR|METHOD")


def live_variables(code: CodeType, lasti: int, *, withs_swallow: bool = True) -> frozenset[str]:
    """Names that a function may read after the instruction at byte offset `lasti`, before it writes them.

    `lasti` is ``frame.f_lasti``: the instruction being executed, normally a call or the head of a ``for``;
    -1 before the first. Cell and free variables are always among the names, since closures may read them at
    any time. So is everything when the code looks at its own variables (``locals()``, ``eval``).
    `withs_swallow` says whether a context manager in `code` may swallow an exception.
    """
    return _function_table(code, withs_swallow).live_after(lasti)


def dead_names(
    code: CodeType, lasti: int, other_codes: Iterable[CodeType], *, withs_swallow: bool = True
) -> frozenset[str]:
    """Global names that nothing reads after `lasti`, in a module's top-level `code`, before they are written.

    Only names that `code` itself stores are considered. `other_codes` are the other codes of the user's
    modules that may run later; the codes nested in them and in `code` count as well. A name they mention in
    any way but storing it is not dead, and none is when any of them could look at the globals as a whole
    (``globals()``, ``exec``). `withs_swallow` is as for `live_variables`.
    """
    elsewhere = _read_elsewhere(code, *other_codes)
    if elsewhere is None:
        return frozenset()
    table = _module_table(code, withs_swallow)
    return table.names - table.live_after(lasti) - elsewhere


def may_swallow(codes: Iterable[CodeType]) -> bool:
    """Whether `codes`, or codes nested in them, name or define a context manager that may swallow exceptions.

    One that a library defines and that is not well known for it goes unnoticed.
    """
    return any(_gives_reason_to_doubt(each) for code in codes for each in (code, *_nested(code)))


class _Effect(NamedTuple):
    """What one instruction does to the variables."""

    exposed: frozenset[str]  # read before the instruction itself writes them
    reads: frozenset[str]
    writes: frozenset[str]


_NOTHING = _Effect(frozenset(), frozenset(), frozenset())


class _Table:
    """The live variables after each instruction of a code; `always` are live everywhere."""

    def __init__(
        self,
        flow: Flow,
        names: Iterable[str],
        effects: list[_Effect],
        always: Iterable[str],
        withs_swallow: bool,
    ) -> None:
        self.names = frozenset(names)
        self._flow = flow
        self._always = frozenset(always)
        self._order = sorted(self.names)
        self._known: dict[int, frozenset[str]] = {}
        bits = {name: 1 << place for place, name in enumerate(self._order)}
        masks = [[sum(bits.get(name, 0) for name in part) for part in effect] for effect in effects]
        onward = flow.successors
        if not withs_swallow:
            onward = [[to for to in nexts if (at, to) not in flow.swallows] for at, nexts in enumerate(onward)]
        after, self._before_first = _solve(masks, onward, flow.handlers)
        # An instruction that does several things may be halfway (a destructor runs in it): its own reads
        # count.
        self._masks = [mask | reads for mask, (_, reads, _) in zip(after, masks, strict=True)]

    def live_after(self, lasti: int) -> frozenset[str]:
        """Names live after the instruction that `lasti` lies in."""
        found = self._known.get(lasti)
        if found is None:
            place = self._flow.place_of(lasti)
            mask = self._before_first if place < 0 else self._masks[place]
            live = {name for bit, name in enumerate(self._order) if mask >> bit & 1}
            found = self._known[lasti] = self._always.union(live)
        return found


def _solve(effects: list[list[int]], successors: list[list[int]], handlers: list[set[int]]) -> tuple[list[int], int]:
    """Masks of the variables live after each instruction, and before the first: the least fixed point."""
    before = [0] * len(effects)
    after = [0] * len(effects)
    changed = True
    while changed:
        changed = False
        for place in range(len(effects) - 1, -1, -1):
            onward = raised = 0
            for successor in successors[place]:
                onward |= before[successor]
            for handler in handlers[place]:
                raised |= before[handler]
            exposed, _, writes = effects[place]
            # An instruction that raises may not have written yet.
            reached = exposed | (onward & ~writes) | raised
            after[place] = onward | raised
            if reached != before[place]:
                before[place] = reached
                changed = True
    return after, before[0] if before else 0


@per_code
def _function_table(code: CodeType, withs_swallow: bool) -> _Table:
    shared = {*code.co_cellvars, *code.co_freevars}
    local = frozenset(code.co_varnames) - shared
    always = shared
    if _looks_at_frame(code, _READS_LOCALS, _LEADS_TO_LOCALS):
        always = shared | local
    elif "__class__" in shared and code.co_argcount:
        always = shared | {code.co_varnames[0]}  # super() without arguments reads it from the frame
    flow = flow_of(code)
    return _Table(flow, local, [_fast_effect(each, local) for each in flow.instructions], always, withs_swallow)


@per_code
def _module_table(code: CodeType, withs_swallow: bool) -> _Table:
    flow = flow_of(code)
    effects = [_name_effect(each) for each in flow.instructions]
    names = frozenset[str]().union(*(effect.writes for effect in effects))
    return _Table(flow, names, effects, names if _looks_at_globals(code) else (), withs_swallow)


def _fast_effect(instruction: dis.Instruction, every: frozenset[str]) -> _Effect:
    """The local variables that an instruction reads and writes, in the order in which its name tells them."""
    opname, argval = instruction.opname, instruction.argval
    if "FAST" not in opname:
        return _NOTHING
    parts = _FAST.findall(opname)
    names = argval if isinstance(argval, tuple) else (argval,)
    if len(parts) != len(names) or not all(isinstance(name, str) for name in names):
        return _Effect(every, every, frozenset())
    exposed, reads, writes = set[str](), set[str](), set[str]()
    for (verb, clears), name in zip(parts, names, strict=True):
        if verb != "STORE":  # `del x` needs x to be bound
            reads.add(name)
            exposed.update({name} - writes)
        if verb != "LOAD" or clears:
            writes.add(name)
    return _Effect(frozenset(exposed), frozenset(reads), frozenset(writes))


def _name_effect(instruction: dis.Instruction) -> _Effect:
    """The module's variables that an instruction of its top-level code reads and writes."""
    if instruction.opcode not in dis.hasname or _OF_SOME_OBJECT.search(instruction.opname):
        return _NOTHING
    name = frozenset({instruction.argval})
    if instruction.opname in ("STORE_NAME", "STORE_GLOBAL"):
        return _Effect(frozenset(), frozenset(), name)
    return _Effect(name, name, frozenset())


def _nested(code: CodeType) -> Iterator[CodeType]:
    """The codes within `code`, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


@per_code
def _read_elsewhere(code: CodeType, *others: CodeType) -> frozenset[str] | None:
    """Names that other codes than the top level of `code` mention but for storing; None if it may be any."""
    # in the module's own functions an attribute of that name is no global: ``self.q`` is not ``q``
    mentions = [_named(nested) for nested in _nested(code)]
    for other in others:
        if other is not code:
            mentions += [_mentioned(nested) for nested in _nested(other)]
            # ``from m import *`` reads every global of m.
            mentions.append(None if ("*",) in other.co_consts else _mentioned(other))
    found = set[str]()
    for names in mentions:
        if names is None:
            return None
        found |= names
    return frozenset(found)


@per_code
def _named(code: CodeType) -> frozenset[str] | None:
    if _looks_at_globals(code):
        return None
    named = (each for each in dis.get_instructions(code) if each.opcode in dis.hasname)
    return frozenset(each.argval for each in named if not _NO_GLOBAL.search(each.opname))


@per_code
def _mentioned(code: CodeType) -> frozenset[str] | None:
    if _looks_at_globals(code):
        return None
    named = (each for each in dis.get_instructions(code) if each.opcode in dis.hasname)
    return frozenset(each.argval for each in named if not each.opname.startswith("STORE_"))


def _looks_at_globals(code: CodeType) -> bool:
    """Whether `code` could read globals by other means than naming them."""
    in_function = code.co_flags & CO_OPTIMIZED
    readers = _READS_GLOBALS if in_function else _READS_GLOBALS | _READS_LOCALS
    return _looks_at_frame(code, readers, _LEADS_TO_GLOBALS)


def _looks_at_frame(code: CodeType, readers: frozenset[str], leads: frozenset[str]) -> bool:
    """Whether `code` could read its variables by other means than naming them."""
    if not leads.isdisjoint(code.co_names):
        return True
    if not {"query", "eval"}.isdisjoint(code.co_names) and any(
        isinstance(constant, str) and _PANDAS_VARIABLE.search(constant) for constant in code.co_consts
    ):
        return True
    if readers.isdisjoint(code.co_names) and "modules" not in code.co_names:
        return False
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _NO_MEANING]
    for place, each in enumerate(instructions):
        if each.opcode not in dis.hasname:
            continue
        if each.argval == "modules" and not _loads_method(each):
            return True  # sys.modules[__name__], but not model.modules()
        if _OF_SOME_OBJECT.search(each.opname) or each.argval not in readers:
            continue
        if each.argval not in _HARMLESS_WITH_ARGUMENT or not _called_with_one(instructions[place + 1 :]):
            return True
    return False


def _loads_method(instruction: dis.Instruction) -> bool:
    """Whether an attribute is loaded only to be called at once."""
    if instruction.opname == "LOAD_METHOD":
        return True
    return version_info >= (3, 12) and instruction.opname == "LOAD_ATTR" and bool((instruction.arg or 0) & 1)


def _called_with_one(instructions: list[dis.Instruction]) -> bool:
    """Whether what was just loaded is called with a variable or an attribute alone: ``vars(args)``."""
    if not instructions or not re.match(r"LOAD_(FAST|NAME|GLOBAL|DEREF)", instructions[0].opname):
        return False
    for each in instructions[1:]:
        if each.opname != "LOAD_ATTR":
            return each.opname in ("CALL", "CALL_FUNCTION") and each.arg == 1
    return False


def _gives_reason_to_doubt(code: CodeType) -> bool:
    if not _SWALLOWERS.isdisjoint(code.co_names):
        return True
    if code.co_name not in ("__exit__", "__aexit__"):
        return False
    flow = flow_of(code)
    values = [each for each in flow.instructions if each.opname == "RETURN_CONST"]
    for at, onward in enumerate(flow.successors):
        if any(flow.instructions[to].opname == "RETURN_VALUE" for to in onward):
            values.append(flow.instructions[at])
    return not all("CONST" in each.opname and each.argval is None for each in values)
