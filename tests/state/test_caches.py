"""What ``functools.lru_cache`` keeps is read and put back, whatever the arguments, the bound and the interpreter."""

import functools

import pytest

from survivor.state import caches

MISSING = object()


def cached(maxsize, typed):
    calls = []
    outer = 3

    @functools.lru_cache(maxsize=maxsize, typed=typed)
    def function(a, b=1, *more, k=2, **named):
        calls.append(a)
        return [a, b, more, k, named, outer]

    return function, calls


def entries(function):
    return caches.parts(function)["entries"]


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("maxsize", [None, 4, 128])
def test_results_are_given_again_without_a_call(maxsize, typed):
    function, _ = cached(maxsize, typed)
    for call in (
        lambda: function(1),
        lambda: function("x"),
        lambda: function(1.0),
        lambda: function(1, 2, k=5),
        lambda: function(a=3),
        lambda: function((1, 2), 3, 4, z=1),
        lambda: function(1),
    ):
        call()
    kept = entries(function)
    assert len(kept) == function.cache_info().currsize
    other, calls = cached(maxsize, typed)
    other(7)
    del calls[:]
    caches.rebuild(other, kept, MISSING)
    for args, named, result in kept:
        assert other(*args, **named) is result
    assert calls == []
    assert other(99) == [99, 1, (), 2, {}, 3] and calls == [99]


def test_the_order_of_use_decides_what_is_dropped_next():
    function, _ = cached(3, False)
    for number in (0, 1, 2, 0):
        function(number)
    other, calls = cached(3, False)
    caches.rebuild(other, entries(function), MISSING)
    other(9)
    assert [args for args, _, _ in entries(other)] == [[2], [0], [9]] and calls == [9]


def test_a_result_that_could_not_be_restored_is_worked_out_anew():
    function, calls = cached(None, False)
    caches.rebuild(function, [[[1], {}, MISSING], [[2], {}, "kept"]], MISSING)
    assert function(2) == "kept" and calls == []
    assert function(1)[0] == 1 and calls == [1]
