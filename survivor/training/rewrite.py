"""Rewriting a user's source so that its loops tell where they are.

``for x in E:``    becomes ``for x in __survivor__.loop(N, E):``
``while T:``       becomes ``while __survivor__.tick(N) and (T or __survivor__.forced(N)):`` between ``enter(N)``
                   and ``exit(N)``
both               stand in a ``try`` whose ``except:`` calls ``__survivor__.raised(N)`` and raises again
``break``          is preceded by ``__survivor__.left(N)``
``return v``       in a loop becomes ``return __survivor__.returned(N, v)``, and after the loop stands
                   ``if __survivor__.returns(N): return __survivor__.value(N)``
``yield from E``   becomes ``yield from __survivor__.delegate(E)``
``[f(x) for x in E]`` where ``f`` trains becomes a function with a loop, see `survivor.training.comprehensions`
``time.time()``    and other calls that bring something in from outside become
                   ``__survivor__.noted("key", time.time())``

*N* numbers the loop's `Site`. Only expressions are wrapped and every new node takes the place of the
one it wraps, so lines and columns in tracebacks stay the user's own.

Things that don't work: wrapping by source text (columns move, decorators are seen twice); rewriting
bytecode (differs per version); a context manager round each loop (changes what ``break`` may do).

Left alone: most loops that call nothing (they can't train), functions that torch compiles or scripts or
that run once per sample or per layer (``forward``, ``__getitem__`` …), generator expressions and asynchronous loops.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from survivor.training.comprehensions import Hoisting
from survivor.training.hints import HARMLESS_CALLS, call_name, calls_in
from survivor.training.sites import Site

HOOK = "__survivor__"
#: Run once per sample or once per layer: never the home of a training loop, and hot.
_HOT_FUNCTIONS = frozenset({"forward", "__getitem__", "__len__", "__repr__", "__eq__", "__hash__", "collate_fn"})
_COMPILERS = ("jit", "compile", "njit", "script", "vectorize", "triton")
#: What comes from outside the program: the clock, the machine, the file system. Given again when it is run again.
_OUTSIDE_CALLS = frozenset(
    """
    now utcnow today time time_ns ctime localtime gmtime strftime uuid1 uuid4 token_hex token_bytes
    urandom getpid gethostname cpu_count exists isdir is_dir listdir glob
    """.split()
)
#: Generators of random numbers that take their seed from the system when they are given none.
_SEEDING_CALLS = frozenset(
    {"default_rng", "Random", "RandomState", "seed", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}
)
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass
class _Function_:
    """The function that is being rewritten."""

    qualname: str
    generator: bool
    code: tuple[int, str] = (0, "<module>")
    ordinal: int = 0
    notes: int = 0
    returning: set[int] = field(default_factory=set)  # loops that a `return` may end
    loops: list[int | None] = field(default_factory=list)  # enclosing loops, innermost last; None: not watched
    unwinding: int = 0  # enclosing statements that run something when they are left: `with`, `try` with `finally`
    unwound: list[int] = field(default_factory=list)  # how many of them are around each of the loops


class Rewriter(Hoisting):
    """Rewrites one module.

    Args:
        module: name of the module, the first part of its sites' keys.
        filename: path of the source.
        sites: the table that new sites are appended to; *N* is the index.
        training: names from `survivor.training.hints`.

    Attributes:
        guards: function and lines of each ``try`` and ``with`` statement.
    """

    def __init__(self, module: str, filename: str, sites: list[Site], training: frozenset[str]) -> None:
        super().__init__()
        self.guards: list[tuple[tuple[str, int, str], tuple[int, int]]] = []
        self._module = module
        self._filename = filename
        self._sites = sites
        self._training = training
        self._stack = [_Function_(qualname="", generator=False)]

    # --- scopes -----------------------------------------------------------------------------

    def _visit_function(self, node: Any) -> Any:
        outer = self._stack[-1]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        decorators = " ".join(ast.unparse(d) for d in node.decorator_list)
        if node.name in _HOT_FUNCTIONS or any(word in decorators for word in _COMPILERS):
            return node
        inner = _Function_(
            qualname=f"{outer.qualname}.{node.name}".lstrip("."),
            generator=any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in _own_nodes(node)),
            code=(min(n.lineno for n in [node, *node.decorator_list]), node.name),
        )
        self._stack.append(inner)
        node.body = self._block(node.body)
        self._stack.pop()
        return node

    visit_FunctionDef = _visit_function

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        """Coroutines are functions with loops in them; asynchronous generators are left alone."""
        if any(isinstance(n, ast.Yield) for n in _own_nodes(node)):
            return node
        return self._visit_function(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> Any:
        """Not watched, but what is in it may be."""
        self._loop_body(node, None)
        return node

    def _visit_made(self, function: ast.FunctionDef, hinted: bool) -> ast.FunctionDef:
        first = len(self._sites)
        self._visit_function(function)
        if hinted and len(self._sites) > first:
            self._sites[first].hinted = True
        return function

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        """Lambdas hold no statements."""
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Methods are rewritten; loops in the class body itself build the class and are left alone."""
        outer = self._stack[-1]
        self._stack.append(_Function_(qualname=f"{outer.qualname}.{node.name}".lstrip("."), generator=False))
        for i, statement in enumerate(node.body):
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                node.body[i] = self.visit(statement)
        self._stack.pop()
        return node

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in statements:
            made = self.visit(statement)
            result.extend(made if isinstance(made, list) else [made])
        return result

    # --- loops ------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> Any:
        """Wrap the iterable, unless the loop calls nothing."""
        number = self._new_site(node, "for", _first_name(node.target))
        node.iter = self.visit(node.iter)
        if number is not None:
            node.iter = self._call("loop", node.iter, ast.Constant(number), node.iter)
        self._loop_body(node, number)
        return node if number is None else [self._guarded(node, number), *self._after(node, number)]

    def visit_While(self, node: ast.While) -> Any:
        """Tick before the test, between ``enter`` and ``exit``."""
        number = self._new_site(node, "while", "while")
        test = node.test = self.visit(node.test)
        self._loop_body(node, number)
        if number is None:
            return node
        tick = self._call("tick", test, ast.Constant(number))
        if not (isinstance(test, ast.Constant) and test.value):
            forced = self._call("forced", test, ast.Constant(number))
            either = ast.copy_location(ast.BoolOp(op=ast.Or(), values=[test, forced]), test)
            node.test = ast.copy_location(ast.BoolOp(op=ast.And(), values=[tick, either]), test)
        else:
            node.test = tick
        enter = ast.copy_location(ast.Expr(self._call("enter", test, ast.Constant(number))), node)
        guarded = self._guarded(node, number)
        guarded.finalbody = [self._unless_gone("exit", node, number)]
        return [enter, guarded, *self._after(node, number)]

    def _guarded(self, node: Any, number: int) -> ast.Try:
        """The loop in a ``try`` that tells when an exception leaves it, and changes nothing of the exception."""
        told: list[ast.stmt] = [self._unless_gone("raised", node, number), ast.copy_location(ast.Raise(), node)]
        handler = ast.copy_location(ast.ExceptHandler(type=None, name=None, body=told), node)
        self._sites[number].guarded = True
        return ast.copy_location(ast.Try(body=[node], handlers=[handler], orelse=[], finalbody=[]), node)

    def _unless_gone(self, name: str, node: Any, number: int) -> ast.Expr:
        """A call, unless the module's globals are gone: so they are when the interpreter ends and closes generators."""
        there = ast.copy_location(ast.Name(id=HOOK, ctx=ast.Load()), node)
        call = ast.BoolOp(op=ast.And(), values=[there, self._call(name, node, ast.Constant(number))])
        return ast.copy_location(ast.Expr(ast.copy_location(call, node)), node)

    def _visit_unwinding(self, node: Any, *, unwinds: bool) -> Any:
        function = self._stack[-1]
        self.guards.append(((self._filename, *function.code), (node.lineno, node.end_lineno)))
        last = getattr(node, "finalbody", None)
        if last is not None:
            node.finalbody = []
        function.unwinding += unwinds
        self.generic_visit(node)
        function.unwinding -= unwinds
        if last is not None:
            node.finalbody = self._block(last)
        return node

    def visit_Try(self, node: Any) -> Any:
        """Note where exceptions may be caught, and what runs before a loop is left."""
        return self._visit_unwinding(node, unwinds=bool(node.finalbody))

    visit_TryStar = visit_Try

    def visit_With(self, node: Any) -> Any:
        """The same."""
        return self._visit_unwinding(node, unwinds=True)

    visit_AsyncWith = visit_With

    def _loop_body(self, node: Any, number: int | None) -> None:
        function = self._stack[-1]
        function.loops.append(number)
        function.unwound.append(function.unwinding)
        node.body = self._block(node.body)
        function.loops.pop()
        function.unwound.pop()
        node.orelse = self._block(node.orelse)
        if number is not None and node.orelse:
            # a loop that a resumed run skips because it had ended by `break` must not run its `else`
            test = self._call("completed", node, ast.Constant(number))
            node.orelse = [ast.copy_location(ast.If(test=test, body=node.orelse, orelse=[]), node.orelse[0])]

    def visit_Break(self, node: ast.Break) -> Any:
        """Say that the loop is left early."""
        function = self._stack[-1]
        number = function.loops[-1] if function.loops else None
        if number is None:
            return node
        pending = [ast.Constant(True)] if function.unwinding > function.unwound[-1] else []
        return [ast.copy_location(ast.Expr(self._call("left", node, ast.Constant(number), *pending)), node), node]

    def visit_Return(self, node: ast.Return) -> Any:
        """Hand the value to the outermost loop of the function, which ends by it."""
        if node.value is not None:
            node.value = self.visit(node.value)
        function = self._stack[-1]
        watched = [(n, u) for n, u in zip(function.loops, function.unwound, strict=True) if n is not None]
        if not watched:
            return node
        number, around = watched[0]
        if not function.generator:
            function.returning.add(number)
        value = node.value if node.value is not None else ast.copy_location(ast.Constant(None), node)
        pending = [ast.Constant(True)] if function.unwinding > around else []
        node.value = self._call("returned", value, ast.Constant(number), value, *pending)
        return node

    def _after(self, node: Any, number: int | None) -> list[Any]:
        """What stands after a loop that may end by ``return``."""
        function = self._stack[-1]
        if number is None or number not in function.returning:
            return []
        test = self._call("returns", node, ast.Constant(number))
        value = self._call("value", node, ast.Constant(number))
        leave = ast.copy_location(ast.Return(value=value), node)
        return [ast.copy_location(ast.If(test=test, body=[leave], orelse=[]), node)]

    def visit_Call(self, node: ast.Call) -> Any:
        """Note what comes from outside."""
        self.generic_visit(node)
        name = call_name(node)
        seeds = name in _SEEDING_CALLS and not node.args and not node.keywords
        if not seeds and name not in _OUTSIDE_CALLS:
            return node
        function = self._stack[-1]
        function.notes += 1
        key = ast.Constant(f"{self._module}:{function.qualname or '<module>'}:{function.notes}")
        return self._call("seeded" if seeds else "noted", node, key, node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> Any:
        """Let the iterator be exchanged for a restored one."""
        self.generic_visit(node)
        node.value = self._call("delegate", node.value, node.value)
        return node

    def _new_site(self, node: Any, kind: str, label: str) -> int | None:
        function = self._stack[-1]
        function.ordinal += 1
        called = calls_in(node.body + ([node.test] if kind == "while" else []))
        yields = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for s in node.body for n in _own_nodes(s))
        if not yields and not called - HARMLESS_CALLS and not self._may_train_without_calls(node):
            return None
        key = f"{self._module}:{function.qualname or '<module>'}:{function.ordinal}"
        self._sites.append(
            Site(
                key=key,
                filename=self._filename,
                first_line=node.lineno,
                last_line=node.body[-1].end_lineno or node.lineno,
                function=(self._filename, *function.code),
                label=label,
                kind=kind,
                hinted=bool(called & self._training),
                in_generator=function.generator,
            )
        )
        return len(self._sites) - 1

    def _may_train_without_calls(self, node: Any) -> bool:
        """Whether a loop that calls nothing is the outermost of a module, or of a function and has a loop inside.

        So gradient descent by hand may look, and a perceptron. Others are hot, and there are many of them.
        """
        function = self._stack[-1]
        if function.loops:
            return False
        inner = any(isinstance(n, (ast.For, ast.While)) for statement in node.body for n in ast.walk(statement))
        return inner or not function.qualname

    def _call(self, name: str, place: ast.AST, *arguments: ast.expr) -> ast.Call:
        hook = ast.Attribute(value=ast.Name(id=HOOK, ctx=ast.Load()), attr=name, ctx=ast.Load())
        call = ast.Call(func=hook, args=list(arguments), keywords=[])
        for node in ast.walk(call):
            if not hasattr(node, "lineno"):
                ast.copy_location(node, place)
        return call


def _first_name(target: ast.expr) -> str:
    names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
    return next((name for name in names if name.strip("_")), "item")


def _own_nodes(root: ast.AST) -> list[ast.AST]:
    """Nodes below ``root`` that belong to the same function."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(root))
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, (*_Function, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def rewrite(tree: ast.Module, module: str, filename: str, sites: list[Site], training: frozenset[str]) -> Rewriter:
    """Rewrite a parsed module in place; its sites are appended to ``sites``."""
    rewriter = Rewriter(module, filename, sites, training)
    tree.body = rewriter._block(tree.body)
    ast.fix_missing_locations(tree)
    return rewriter
