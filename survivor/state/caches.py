"""``functools.lru_cache`` round a user's function: the results that it keeps, read and put back.

The cache is C and has no interface for either. Its entries are read as the garbage collector sees them, in the
order of their use; they are put back by calling the cached function while the code below it gives the saved result.
Not put back are ``cache_info()``'s counts.
"""

from __future__ import annotations

import functools
import gc
import operator
import types
from typing import Any

from survivor.state.scope import Scope

KIND = functools._lru_cache_wrapper
_LINK = "_lru_list_elem"


def is_users(value: Any, scope: Scope) -> bool:
    """Whether a cache is round a plain function of the user's."""
    wrapped = getattr(value, "__wrapped__", None)
    return isinstance(wrapped, types.FunctionType) and wrapped.__code__.co_filename in scope.files


def parts(value: Any) -> dict[str, Any]:
    """The results, oldest first: ``[[positional arguments, keyword arguments, result], …]``."""
    held = [each for each in gc.get_referents(value) if each is not KIND]
    plain = {id(each) for each in held if type(each) is object}  # what stands before keyword arguments is one of them
    typed = value.cache_parameters()["typed"]
    return {"entries": [[*_arguments(key, plain, typed), result] for key, result in _kept(value, held)]}


def rebuild(live: Any, entries: list[Any], missing: Any) -> None:
    """Let a cache keep these results; those that could not be restored (``missing``) are left out."""
    wanted = [entry for entry in entries if all(each is not missing for each in _flat(entry))]
    present = parts(live)["entries"]
    if len(present) == len(wanted) and all(map(_same, present, wanted)):
        return
    live.cache_clear()
    function = live.__wrapped__
    own = function.__code__
    try:
        for args, kwargs, result in wanted:
            function.__code__ = _giving(result, own)
            live(*args, **kwargs)
    finally:
        function.__code__ = own


def _kept(value: Any, held: list[Any]) -> list[tuple[Any, Any]]:
    size, bound = value.cache_info().currsize, value.cache_parameters()["maxsize"]
    if bound is None:
        return list(next(each for each in held if type(each) is dict).items())
    # of each entry its key, its result and (in some versions) its own type; then the table of the entries
    width = 3 if size and getattr(held[2], "__name__", "") == _LINK else 2
    entries = held[: width * size]
    return list(zip(entries[::width], entries[1::width], strict=True))


def _arguments(key: Any, plain: set[int], typed: bool) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that a key stands for: one plain argument as it is, else all of them in a row."""
    if type(key) is not tuple:
        return [key], {}
    marks = [i for i, each in enumerate(key) if id(each) in plain]
    if not marks:
        return list(key[: len(key) // 2] if typed else key), {}
    (mark,) = marks
    rest = key[mark + 1 :]
    named = rest[: 2 * (len(rest) - mark) // 3] if typed else rest
    return list(key[:mark]), dict(zip(named[::2], named[1::2], strict=True))


def _flat(entry: list[Any]) -> list[Any]:
    args, kwargs, result = entry
    return [result, *args, *kwargs, *kwargs.values()]


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(_flat(a)) == len(_flat(b)) and all(map(operator.is_, _flat(a), _flat(b)))


def _giving(result: Any, like: types.CodeType) -> types.CodeType:
    """Code that takes anything and returns ``result``, for a function with the variables of ``like``."""

    def giving(*_args: Any, **_kwargs: Any) -> Any:
        return "result"

    constants = tuple(result if each == "result" else each for each in giving.__code__.co_consts)
    return giving.__code__.replace(co_consts=constants, co_freevars=like.co_freevars)
