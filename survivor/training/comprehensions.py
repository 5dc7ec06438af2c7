"""Comprehensions that train: made a function with a loop in it, which is what they are, so that the loop is watched.

``[train(epoch) for epoch in range(9)]`` becomes ``__survivor_comp1__(range(9))``, and before the statement stands ::

    def __survivor_comp1__(__survivor_items__):
        __survivor_made__ = []
        for epoch in __survivor_items__:
            __survivor_made__.append(train(epoch))
        return __survivor_made__

Names, scopes and the order of evaluation are those of the comprehension (PEP 709 inlines it from Python 3.12 on, which
nobody can see). ``list(map(train, range(9)))`` is the same, and so is ``sum(train(e) for e in …)``, whose sum is
taken when all is trained.

Things that don't work: watching the comprehension itself (what it has made so far lies on the interpreter's stack);
a generator expression that is handed elsewhere (who takes from it, and when, is not known).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from survivor.training.hints import TRAINING_CALLS, call_name, calls_in

_ITEMS, _MADE, _FUNCTION, _ITEM = (f"__survivor_{name}__" for name in ("items", "made", "function", "item"))
#: They take all of a generator expression before they return, and look at nothing else.
_TAKES_ALL = frozenset({"list", "tuple", "set", "sum", "max", "min", "sorted"})
#: What they say depends on the function that they stand in.
_LOOK_ROUND = frozenset({"super", "locals", "vars", "dir", "eval", "exec"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_ADD = {ast.SetComp: "add", ast.DictComp: "__setitem__"}


def training_part(node: ast.expr, training: frozenset[str]) -> Any:
    """The comprehension in an expression, or the call of ``map``, that reaches training by the names that it calls.

    A comprehension over ``.step()`` or ``.backward()`` alone is left: it is one step of the loop around it.
    """
    if isinstance(node, ast.Call):
        return _taken_whole(node, training)
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)) and _trains(node, training):
        return node
    return None


def _reaches(function: ast.expr, training: frozenset[str]) -> bool:
    """Whether a call of this reaches training by a function of the user's, and is no step of its own."""
    if isinstance(function, ast.Lambda):
        return any(_reaches(n.func, training) for n in ast.walk(function.body) if isinstance(n, ast.Call))
    if isinstance(function, ast.Name):
        return function.id in training
    return isinstance(function, ast.Attribute) and function.attr in training - TRAINING_CALLS


def _taken_whole(node: ast.Call, training: frozenset[str]) -> Any:
    if not isinstance(node.func, ast.Name) or node.func.id not in _TAKES_ALL or len(node.args) != 1 or node.keywords:
        return None
    taken = node.args[0]
    if isinstance(taken, ast.GeneratorExp):
        return taken if _trains(taken, training) else None
    if not isinstance(taken, ast.Call) or call_name(taken) != "map" or len(taken.args) != 2 or taken.keywords:
        return None
    return taken if _reaches(taken.args[0], training) else None


def _trains(node: Any, training: frozenset[str]) -> bool:
    calls = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    if not any(_reaches(each, training) for each in calls) or calls_in([node]) & _LOOK_ROUND:
        return False
    strange = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return not any(isinstance(n, strange) or getattr(n, "is_async", 0) for n in ast.walk(node))


def as_function(node: Any, name: str) -> tuple[ast.FunctionDef, ast.Call]:
    """The function that does what ``node`` does, and the call that takes its place."""
    is_map = isinstance(node, ast.Call)
    parameters = [_FUNCTION, _ITEMS] if is_map else [_ITEMS]
    given = node.args if is_map else [node.generators[0].iter]
    body: list[ast.stmt] = [ast.parse(f"{_MADE} = {_empty(node)}").body[0]]
    body += ast.parse(f"for {_ITEM} in {_ITEMS}: {_MADE}.append({_FUNCTION}({_ITEM}))").body if is_map else _loops(node)
    body += ast.parse(f"def _():\n return {_MADE}").body[0].body  # type: ignore[attr-defined]
    function: Any = ast.parse(f"def {name}({', '.join(parameters)}): pass").body[0]
    function.body = body
    call = ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(given), keywords=[])
    kept = {id(n) for part in ([*given] if is_map else [node]) for n in ast.walk(part)}
    for made in (function, call):
        _place(made, node, kept)
    return function, call


def _empty(node: Any) -> str:
    return {ast.SetComp: "set()", ast.DictComp: "{}"}.get(type(node), "[]")


def _loops(node: Any) -> list[ast.stmt]:
    """The ``for`` and ``if`` of a comprehension as statements, the first ``for`` over the parameter."""
    values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    add = ast.Attribute(value=ast.Name(id=_MADE, ctx=ast.Load()), attr=_ADD.get(type(node), "append"), ctx=ast.Load())
    inner: list[ast.stmt] = [ast.Expr(ast.Call(func=add, args=values, keywords=[]))]
    for number in range(len(node.generators) - 1, -1, -1):
        each = node.generators[number]
        for test in reversed(each.ifs):
            inner = [ast.If(test=test, body=inner, orelse=[])]
        source = each.iter if number else ast.Name(id=_ITEMS, ctx=ast.Load())
        inner = [ast.For(target=each.target, iter=source, body=inner, orelse=[], type_comment=None)]
    return inner


def _place(made: ast.AST, node: ast.AST, kept: set[int]) -> None:
    """Give all new nodes the place of the comprehension; the user's own keep theirs."""
    for each in ast.walk(made):
        if id(each) not in kept and "lineno" in each._attributes:
            ast.copy_location(each, node)


class Hoisting(ast.NodeTransformer):
    """The part of a rewriter that exchanges comprehensions that train.

    Attributes:
        _hoisted: functions that are to stand before the statement being visited; ``None`` where none can.
    """

    _training: frozenset[str]
    _visit_made: Callable[[ast.FunctionDef, bool], Any]

    def __init__(self) -> None:
        self._hoisted: list[list[Any] | None] = [None]
        self._comprehensions = 0

    def visit(self, node: ast.AST) -> Any:
        """Visit; before a statement stand the functions that were made of its comprehensions."""
        if isinstance(node, ast.stmt):
            holds = not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            self._hoisted.append([] if holds else None)
            made = super().visit(node)
            before = self._hoisted.pop()
            return [*before, *(made if isinstance(made, list) else [made])] if before else made
        hoisted = self._hoisted[-1]
        part = training_part(node, self._training) if hoisted is not None and isinstance(node, ast.expr) else None
        if part is not None and hoisted is not None:
            return self._exchanged(node, part, hoisted)
        if isinstance(node, _COMPREHENSIONS):
            self._hoisted.append(None)  # what is in it may use its variables
            made = super().visit(node)
            self._hoisted.pop()
            return made
        return super().visit(node)

    def _exchanged(self, node: Any, part: Any, hoisted: list[Any]) -> Any:
        self._comprehensions += 1
        function, call = as_function(part, f"__survivor_comp{self._comprehensions}__")
        call.args = [self.visit(argument) for argument in call.args]
        hoisted.append(self._visit_made(function, isinstance(part, ast.Call)))
        if part is node:
            return call
        node.args = [call]
        return node
