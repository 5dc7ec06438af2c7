"""A set that is restored iterates as it did, and goes on as it would have."""

import random

import pytest

from survivor.state import sets


def _grown(seed):
    """A set with a history."""
    r = random.Random(seed)
    grown = set()
    for _ in range(r.randrange(1, 400)):
        grown.add(r.choice([r.randrange(1000), f"word{r.randrange(1000)}", r.random(), (r.randrange(9), "t")]))
        if grown and r.random() < 0.3:
            grown.discard(r.choice(list(grown)))
        if r.random() < 0.01:
            grown |= set(range(r.randrange(90)))
        if grown and r.random() < 0.05:
            grown.pop()
    return grown


@pytest.mark.parametrize("seed", range(60))
def test_a_set_iterates_as_it_did_and_takes_new_members_as_the_first_would(seed):
    first = _grown(seed)
    members, layout = list(first), sets.layout_of(first)
    second = {"something", "else"}
    assert sets.arrange(second, members, layout)
    r = random.Random(-seed)
    for step in range(300):
        assert list(second) == list(first)
        assert all(member in second for member in first)
        if r.random() < 0.2 and first:
            assert first.pop() == second.pop()
        elif r.random() < 0.3 and first:
            gone = r.choice(list(first))
            first.discard(gone)
            second.discard(gone)
        else:
            new = r.choice([step, f"new{step}", r.random()])
            first.add(new)
            second.add(new)
    assert second == first


def test_a_frozenset_iterates_as_it_did():
    for seed in range(40):
        first = frozenset(_grown(seed))
        second = frozenset(list(first))
        if sets.arrange_frozen(second, list(first), sets.layout_of(first)):
            assert list(second) == list(first)
        assert second == first
        assert all(member in second for member in first)


@pytest.mark.parametrize(
    "layout",
    [None, [], [7, 0, [0], []], [7, 0, [0, 0], []], [7, 0, [1, 9], []], [6, 0, [0, 1], []], [2**40 - 1, 0, [0, 1], []],
     [7, -1, [0, 1], []], [7, 0, [0, 1], [1]], [7, 0, ["a", 1], []], [7, 0, [0, 1], [2, 3, 4, 5, 6, 7]]],
)
def test_a_layout_that_can_t_be_true_is_not_written(layout):
    target = {1}
    sets.arrange(target, [8, 16], layout)
    assert target == {8, 16}
    assert 8 in target and 16 in target and 1 not in target
