"""Taking the state at a loop's head: the user's frames, their modules' globals, the loop's iterator, the RNGs.

The document of a level is JSON::

    {"chain":    [{"site": …, "entry": …, "done": …}, …]   outermost loop first
     "frames":   [{"function": …, "names": […], "variables": [[name, ref], …]}, …]
     "modules":  [{"module": …, "names": […], "variables": [[name, ref], …]}, …]
     "iterator": ref or null
     "consumed": ref or null                what is taken again from an iterator that can't be carried
     "result":   ref                        what a loop that has ended returned, or was left by
     "origin":   [line, offset] or null     where that exception came from
     "tracked":  [[name, ref], …]
     "rng":      ref
     "flags":    ref                        settings of the process
     "foreign":  ref                        attributes that the script sets on installed modules
     "imported": [name, …]                  modules that were imported since the set-up; the engine adds it
     "nodes":    […]}

``names`` are all names that were bound; those that are not among the variables were dead, or belong to
re-execution.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import torch

from survivor.state import flags, rng
from survivor.state.encode import Encoder
from survivor.state.remade import others_at_work
from survivor.state.scope import Scope
from survivor.training import frames as frame_access
from survivor.training.liveness import dead_names, live_variables
from survivor.training.records import Level, Record

#: Names that Python, survivor or torch.compile put into a module's globals.
_MACHINERY = re.compile(r"__\w+__$|___|__(builtins_dict|compiled_fn|resume_at|import_)")
_INDEX = re.compile(r"\[[^\]]*\]")
#: The path of what a loop returned, or was left by.
RESULT = "<result>"


@dataclass
class Capture:
    """One level, together with what the engine must decide about before it counts.

    Attributes:
        level: the state; its blobs look at live memory until it is copied.
        graph: path and tensor of everything that still hangs on an autograd graph.
        opaque: path and object of everything that was not carried.
        left: path and object of what is left to the set-up: libraries' objects, classes that no name leads to.
    """

    level: Level
    graph: list[tuple[str, torch.Tensor]]
    opaque: list[tuple[str, Any]]
    left: list[tuple[str, Any]]
    keep: Any = field(default=None, repr=False)


def user_frames(frame: FrameType, scope: Scope) -> list[FrameType]:
    """The user's frames from the outermost to ``frame``."""
    return frame_access.user_frames(frame, lambda code: code.co_filename in scope.files)


def code_name(code: CodeType) -> str:
    """A function's name within its file."""
    return getattr(code, "co_qualname", code.co_name)


def capture(
    encoder: Encoder, record: Record, chain: list[Record], tracked: dict[str, Any], result: Any = None
) -> Capture:
    """Read the state at the head of ``record``, the last of ``chain``, or at its end (``record.how``, ``result``)."""
    scope = encoder.scope
    stack = user_frames(record.frame, scope)
    document: dict[str, Any] = {"chain": [r.address for r in chain]}
    main = stack[0] if stack and stack[0].f_code.co_name == "<module>" else None
    document["modules"] = [
        _module(encoder, name, main if main is not None and main.f_globals is module.__dict__ else None, record)
        for name, module in list(scope.modules.items())
    ]
    document["frames"] = [_frame(encoder, frame, record) for frame in stack if frame.f_code.co_name != "<module>"]
    document["iterator"] = None
    document["consumed"] = None
    if record.iterator is not None and not record.how and record.consumed is not None and record.consumed.exact:
        document["consumed"] = encoder.ref(record.consumed.parts(), -1, "<consumed>")
    elif record.iterator is not None and not record.how:
        document["iterator"] = encoder.ref(record.iterator, -1, "<iterator>")
    for entry, frame in zip(document["frames"], (f for f in stack if f.f_code.co_name != "<module>"), strict=True):
        entry["cells"] = _cells(encoder, frame)
    document["tracked"] = [[name, encoder.tracked(value, name)] for name, value in tracked.items()]
    document["result"] = encoder.ref(result, -1, RESULT)
    document["origin"] = origin_of(result, record.frame) if record.how == "raise" else None
    document["rng"] = encoder.ref(rng.read_all(), -1, "rng")
    document["flags"] = encoder.ref(flags.read_all(), -1, "flags")
    document["foreign"] = encoder.ref(scope.foreign.read(scope.modules), -1, "")
    document["nodes"] = encoder.nodes
    blobs = encoder.finish()
    others = others_at_work(scope, [*encoder.opaque.values(), *encoder.left.values()], encoder.ignore)
    return Capture(
        level=Level(document, blobs, steady=encoder.steady),
        graph=[(_general(encoder.path(number)), tensor) for number, tensor in encoder.graph_tensors],
        opaque=[*((encoder.path(number), value) for number, value in encoder.opaque.items()), *others],
        left=[(encoder.path(n), value) for n, value in (*encoder.left.items(), *encoder.nameless.items())],
        keep=encoder,
    )


def _places(frame: FrameType, record: Record) -> set[int]:
    """Where in a frame's code a level stands: at the end of a loop also at its head.

    Behind the loop much is dead that the trained state is made of: the last checkpoint is there to be exported.
    """
    at_head = record.how and frame is record.frame and record.head_at_byte >= 0
    return {frame.f_lasti, record.head_at_byte} if at_head else {frame.f_lasti}


def _module(encoder: Encoder, name: str, frame: FrameType | None, record: Record) -> dict[str, Any]:
    module = encoder.scope.modules[name]
    variables = {k: v for k, v in vars(module).items() if not _MACHINERY.match(k)}
    names = list(variables)
    if frame is not None:
        others = tuple(code for other, code in encoder.scope.codes.items() if other != name)
        dead_at = [dead_names(frame.f_code, place, others) for place in _places(frame, record)]
        for dead in frozenset.intersection(*dead_at):
            if not isinstance(variables.get(dead), type):  # a class holds state that its instances see
                variables.pop(dead, None)
    plain = {k: v for k, v in variables.items() if not isinstance(v, type(sys)) and k not in encoder.ignore}
    return {"module": name, "names": names, "variables": encoder.namespace(plain)}


def _frame(encoder: Encoder, frame: FrameType, record: Record) -> dict[str, Any]:
    variables = frame_access.read(frame)
    live = frozenset[str]().union(*(live_variables(frame.f_code, place) for place in _places(frame, record)))
    carried = {k: v for k, v in variables.items() if k in live and k not in encoder.ignore}
    return {
        "function": code_name(frame.f_code),
        "names": list(variables),
        "variables": encoder.namespace(carried),
    }


def _cells(encoder: Encoder, frame: FrameType) -> list[list[Any]]:
    """Which of the closures' cells in the document are variables of a running function."""
    if not encoder.cells:
        return []
    owned = frame_access.owned_cells(frame, {name: list(cells.values()) for name, cells in encoder.cells.items()})
    return [[name, encoder.ref(cell)] for name, cell in owned.items()]


def _general(path: str) -> str:
    """A path without its indices: what is learned of one element of a list holds for the next."""
    return _INDEX.sub("[]", path)


def inside_unwatched_loop(frame: FrameType, running: dict[FrameType, list[Record]], scope: Scope) -> str | None:
    """The key of a loop that a user's frame stands in the body of although nobody watches it."""
    current: FrameType | None = frame
    while current is not None:
        for site in sites_of(current.f_code, scope):
            if site.first_line < current.f_lineno <= site.last_line and all(
                record.site is not site for record in running.get(current, ())
            ):
                return str(site.key)
        current = current.f_back
    return None


def sites_of(code: CodeType, scope: Scope) -> Iterator[Any]:
    """The watched loops of a code object's own body."""
    line = 0 if code.co_name == "<module>" else code.co_firstlineno
    yield from scope.sites_by_code.get((code.co_filename, line, code.co_name), ())


def guards_of(code: CodeType, scope: Scope) -> list[tuple[int, int]]:
    """First and last lines of the ``try`` and ``with`` statements in a code object's own body."""
    line = 0 if code.co_name == "<module>" else code.co_firstlineno
    return scope.guards_by_code.get((code.co_filename, line, code.co_name), [])


def origin_of(error: BaseException, frame: FrameType) -> list[int] | None:
    """Line and bytecode offset in ``frame`` that an exception came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame is not frame:
        trace = trace.tb_next
    return [trace.tb_lineno, trace.tb_lasti] if trace is not None else None
