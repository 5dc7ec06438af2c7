"""Reading and writing the variables of frames on the stack, on every supported Python.

A checkpoint carries what the user's running functions hold, and a resumed run has to put it back into
functions that are already running. There is one way to reach a frame's variables from Python,
``frame.f_locals``, and it is two different things:

* up to 3.12 it is a dict that the interpreter fills from the frame each time the attribute is read, and that
  ``PyFrame_LocalsToFast`` copies back;
* from 3.13 it is a proxy that writes through (PEP 667) but deletes nothing.

Three properties of the older one shape this module. Reading the attribute again throws away what was
changed and not yet copied back, so it is read once, and the change and the copy stand on one line, where no
trace function can come between. The frame keeps the dict, and with it every value (a batch, a graph) for
longer than the script would, so it is emptied afterwards. But a script may hold the same dict, from
``locals()``; then it is left as it is.

From 3.12 the compiler drops the check for unbound variables wherever it can prove that a variable is bound,
so that unbinding one under a running frame would crash the interpreter, and no interface offers it. There,
a local variable is set to an object instead that raises ``UnboundLocalError`` when it is used in any way
but being passed on. Poking the slot through ctypes was rejected for that crash. A variable shared with a
closure lives in a cell, is always checked, and is really unbound on every version.
"""

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterable
from dis import Instruction
from inspect import CO_OPTIMIZED
from types import CellType, CodeType, FrameType, GeneratorType
from typing import Any, NoReturn

from survivor.errors import DivergedError
from survivor.training.bytecode import flow_of, per_code

_PROXIED = sys.version_info >= (3, 13)  # f_locals writes through
_UNCHECKED = sys.version_info >= (3, 12)  # LOAD_FAST trusts the compiler that the variable is bound
_CLEAR_MISSING = 1  # second argument of PyFrame_LocalsToFast: what the dict lacks becomes unbound
# References to a frame's dict that no script holds: the frame's, our variable's and that of getrefcount's
# argument.
_FRAME_AND_WE = 3
_EMPTY = object()


def variable_names(code: CodeType) -> tuple[str, ...]:
    """Names of the variables a function's frame can hold: local, cell and free.

    Names that no script can spell, such as the ``.0`` of a comprehension, are left out.
    """
    names = dict.fromkeys((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
    return tuple(name for name in names if name.isidentifier())


def user_frames(start_frame: FrameType, is_user: Callable[[CodeType], bool]) -> list[FrameType]:
    """Frames from the outermost one to `start_frame`, both included, whose code satisfies `is_user`."""
    found = []
    frame: FrameType | None = start_frame
    while frame is not None:
        if is_user(frame.f_code):
            found.append(frame)
        frame = frame.f_back
    found.reverse()
    return found


def read(frame: FrameType) -> dict[str, object]:
    """A new dict of the variables bound in `frame`, which is running or has called what runs now.

    For a function these are its local, cell and free variables; for a module all its globals; for a class
    body its namespace so far. Inside a comprehension on 3.12 and later, a variable that the comprehension
    hides is read as the comprehension's: the outer value is on the interpreter's stack, out of reach. From
    3.13 it is left out if closures share the outer one.
    """
    if not frame.f_code.co_flags & CO_OPTIMIZED:
        return dict(_namespace(frame))
    held = frame.f_locals
    names: Iterable[str] = variable_names(frame.f_code)
    if _PROXIED and (frame.f_code.co_cellvars or frame.f_code.co_freevars):
        hidden = _hidden_cells(frame.f_code, frame.f_lasti)
        names = [name for name in names if name not in hidden]
    found = {name: held[name] for name in names if name in held}
    if not _PROXIED and sys.getrefcount(held) == _FRAME_AND_WE:
        _let_go(held, found)
    return {name: value for name, value in found.items() if type(value) is not Unbound}


def write(frame: FrameType, values: dict[str, object], delete: set[str]) -> None:
    """Set the variables `values` in `frame`, and unbind those named in `delete`.

    `frame` is running, or has called what runs now, at any depth; a suspended generator's frame does as
    well. Closures that share a variable see the change. A name to delete that is not bound, or not known,
    is passed over. On 3.12 and later a deleted local variable that no closure shares becomes an `Unbound`,
    for the reason given above.

    Raises:
        DivergedError: the frame's code has no variable of a name in `values`; nothing was written.
        ValueError: a name is in both arguments; nothing was written.
    """
    if both := delete & values.keys():
        raise ValueError(f"to be set and to be deleted: {', '.join(sorted(both))}")
    if not frame.f_code.co_flags & CO_OPTIMIZED:
        namespace = _namespace(frame)
        namespace.update(values)
        for name in delete:
            namespace.pop(name, None)
        return
    known = variable_names(frame.f_code)
    if unknown := values.keys() - set(known):
        raise _no_such_variable(frame.f_code, unknown)
    if _PROXIED:
        _write_through(frame, values, delete.intersection(known))
    else:
        _write_back(frame, values, delete.intersection(known))


def cells_of(generator: "GeneratorType[Any, Any, Any]") -> dict[str, CellType] | None:
    """The cells of the variables that a suspended generator shares with the function around it; None if unknown.

    They are the last of the frame's variables, in the order of ``co_freevars``, and the collector shows them.
    """
    names = generator.gi_code.co_freevars
    shared = len(names) + len(generator.gi_code.co_cellvars)
    cells = [each for each in gc.get_referents(generator) if type(each) is CellType] if names else []
    if not names or not cells:
        return {} if not names else None
    return dict(zip(names, cells[shared - len(names) :], strict=True)) if len(cells) == shared else None


def owned_cells(frame: FrameType, candidates: dict[str, list[CellType]]) -> dict[str, CellType]:
    """Those of some closures' cells, by variable, that are the variables of this very frame.

    A cell of an earlier call may hold the same value, so the frame's variable is set to something unique and back.
    """
    held = read(frame)
    shared = _shared_names(frame.f_code)
    likely = {
        name: [cell for cell in cells if _content(cell) is held[name]]
        for name, cells in candidates.items()
        if name in held and name in shared
    }
    likely = {name: cells for name, cells in likely.items() if cells}
    if not likely or threading.active_count() > 1:  # another thread might see what is not meant for it
        return {name: cells[0] for name, cells in likely.items() if len(cells) == 1}
    markers: dict[str, object] = {name: object() for name in likely}
    write(frame, markers, set())
    try:
        return {name: cell for name, cells in likely.items() for cell in cells if _content(cell) is markers[name]}
    finally:
        write(frame, {name: held[name] for name in markers}, set())


def find_cells(frame: FrameType, names: Iterable[str]) -> dict[str, CellType]:
    """The cells of a frame's shared variables; searches all objects for them, which takes some milliseconds."""
    shared = _shared_names(frame.f_code)
    held = read(frame)
    markers: dict[str, object] = {name: object() for name in names if name in shared}
    if not markers:
        return {}
    write(frame, markers, set())
    try:
        holders = [each for each in gc.get_referrers(*markers.values()) if type(each) is CellType]
        by_marker = {id(_content(cell)): cell for cell in holders}
        return {name: by_marker[id(marker)] for name, marker in markers.items() if id(marker) in by_marker}
    finally:
        write(frame, {n: held[n] for n in markers if n in held}, {n for n in markers if n not in held})


def _shared_names(code: CodeType) -> set[str]:
    """Variables that closures share: they live in cells."""
    return {*code.co_cellvars, *code.co_freevars}


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _write_back(frame: FrameType, values: dict[str, object], delete: set[str]) -> None:
    """Up to 3.12: change the dict and have the interpreter copy it into the frame."""
    held: Any = frame.f_locals
    before = dict(held)  # keeps old values alive, so that no destructor runs between change and copy
    after = {**before, **values}
    shared = _shared_names(frame.f_code)
    for name in delete & after.keys():
        if _UNCHECKED and name not in shared:
            after[name] = Unbound(name)
        else:
            del after[name]
    copy_back, wrapped = _copy_back(), ctypes.py_object(frame)
    _ = held.clear(), held.update(after), copy_back(wrapped, _CLEAR_MISSING)  # on one line: see above
    if sys.getrefcount(held) == _FRAME_AND_WE:
        _let_go(held, variable_names(frame.f_code))


def _write_through(frame: FrameType, values: dict[str, object], delete: set[str]) -> None:
    """From 3.13: the proxy sets; a cell to be emptied is found by what was just put into it."""
    held = frame.f_locals
    held.update(values)
    shared = _shared_names(frame.f_code)
    for name in delete:
        if name not in held:
            continue
        held[name] = marker = Unbound(name)
        if name in shared:
            for holder in gc.get_referrers(marker):
                if type(holder) is CellType:
                    del holder.cell_contents


def _copy_back() -> Callable[[Any, Any], None]:
    function = ctypes.pythonapi.PyFrame_LocalsToFast
    function.restype = None
    return function


def _let_go(held: Any, names: Iterable[str]) -> None:
    """Empty a frame's dict of `names`; its caller has seen to it that no script holds it, from ``locals()``.

    After each call of a trace or profile function the interpreter copies the dict back, so it must be whole
    then.
    """
    if sys.gettrace() is None and sys.getprofile() is None:
        for name in names:
            held.pop(name, None)


@per_code
def _hidden_cells(code: CodeType, lasti: int) -> frozenset[str]:
    """Shared variables whose place in the frame is used by a comprehension that runs at `lasti`.

    The place holds the comprehension's plain value where the proxy expects a cell; up to 3.13.2 reading it
    crashes the interpreter (CPython issue 128396). A comprehension that hides variables is known by its
    exception handler, which only puts them back; the handlers around `lasti` are visited inside out.
    """
    flow = flow_of(code)
    hidden, visited, reached = set[str](), set[int](), {flow.place_of(lasti)}
    while reached := {handler for place in reached for handler in flow.handlers[place]} - visited:
        visited |= reached
        for handler in reached:
            hidden |= _put_back(flow.instructions[handler:])
    return frozenset(hidden.intersection((*code.co_cellvars, *code.co_freevars)))


def _put_back(handler: list[Instruction]) -> set[str]:
    """Names that an exception handler stores, when it does nothing else before it raises again."""
    names = set[str]()
    for each in handler:
        if each.opname == "RERAISE":
            return names
        if each.opname.startswith("STORE_FAST"):
            names.update(each.argval if isinstance(each.argval, tuple) else (each.argval,))
        elif each.opname not in ("SWAP", "POP_TOP", "EXTENDED_ARG"):
            break
    return set()


def _namespace(frame: FrameType) -> dict[str, Any]:
    """The dict that a module's or a class's code works on."""
    namespace = frame.f_locals
    if namespace is frame.f_locals:
        return namespace
    # A comprehension is running in this frame (3.12+), and f_locals is a copy that shows the
    # comprehension's variables.
    if frame.f_code.co_name == "<module>":
        return frame.f_globals
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    raise DivergedError(
        f"{place}: a comprehension in a class body hides the variables of the class",
        advice="write the comprehension as a loop, or move it into a function",
    )


def _no_such_variable(code: CodeType, names: Iterable[str]) -> DivergedError:
    place = f"{code.co_filename}:{code.co_firstlineno}"
    return DivergedError(
        f"{place}: {code.co_name} has no variable {', '.join(sorted(names))}",
        advice="restore the script as it was when the job was started, or start a new job",
    )


class Unbound:
    """Stands in a local variable that should be unbound, where the interpreter can't unbind it.

    Any use raises ``UnboundLocalError``; only assigning it, passing it on, ``is`` and ``del`` don't.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        """`name` is that of the variable, for the message."""
        object.__setattr__(self, "_name", name)


def _refuse(self: Unbound, *_args: object, **_kwargs: object) -> NoReturn:
    name = object.__getattribute__(self, "_name")
    raise UnboundLocalError(f"cannot access local variable {name!r} where it is not associated with a value")


_UNARY = "neg pos abs invert int float complex index round trunc floor ceil bool len hash repr str bytes"
_BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
_COMPARISONS = "eq ne lt le gt ge"
_PROTOCOLS = (
    "getattribute setattr delattr call iter next reversed contains getitem setitem delitem length_hint "
    "format fspath enter exit aenter aexit await aiter anext instancecheck subclasscheck reduce_ex dir buffer"
)
for _stem in f"{_UNARY} {_BINARY} {_COMPARISONS} {_PROTOCOLS}".split():
    setattr(Unbound, f"__{_stem}__", _refuse)
for _stem in _BINARY.split():
    setattr(Unbound, f"__r{_stem}__", _refuse)
    setattr(Unbound, f"__i{_stem}__", _refuse)
