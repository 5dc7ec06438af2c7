"""The walk over a script's state sees what changes, and gives the same paths in another process."""

import collections
import enum
import functools
import queue
import random

import numpy as np
import pytest
import torch
from torch import nn

from survivor.proof.tracing.digest import Digests
from survivor.proof.tracing.frames import Root, Script
from survivor.proof.tracing.walk import Walker


def leaves(**values):
    walker = Walker(Script([__file__.rpartition("/")[0]]), Digests(""))
    return walker.walk([Root(f"main|{name}", name, value) for name, value in values.items()])


class Holder:
    def __init__(self, **values):
        self.__dict__.update(values)


class Slotted:
    __slots__ = ("count",)


class Kind(enum.Enum):
    GOOD = 1


def counter():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def slotted():
    made = Slotted()
    made.count = 1
    return made


def module():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def trained():
    model = module()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    return Holder(model=model, optimizer=optimizer)


def poke(value):
    with torch.no_grad():
        value.view(-1)[0] += 1


#: How a value is made, how it changes, and a part of the path at which that is seen.
CHANGES = {
    "a number": (lambda: [1, 2.5], lambda v: v.append(3), "value"),
    "a tensor": (lambda: torch.zeros(3), poke, "value"),
    "an array": (lambda: np.zeros(3), lambda v: v.__setitem__(1, 2), "value"),
    "an item of a nested dict": (lambda: {"a": [{"b": torch.zeros(1)}]}, lambda v: poke(v["a"][0]["b"]), "['a'][0]['b']"),
    "the order of a dict": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a")), "keys()"),
    "a set": (lambda: {1, 2}, lambda v: v.add(3), "value"),
    "a deque": (lambda: collections.deque([1]), lambda v: v.append(2), "value"),
    "an attribute": (lambda: Holder(n=1), lambda v: setattr(v, "n", 2), ".n"),
    "a slot": (slotted, lambda v: setattr(v, "count", 2), ".count"),
    "an attribute of a named constant": (lambda: Kind.GOOD, lambda v: setattr(v, "count", 2), ".count"),
    "a closure": (counter, lambda v: v(), ".<count>"),
    "a weight": (module, lambda v: poke(v[0].weight), "value[0].weight"),
    "a buffer": (module, lambda v: poke(v[1].running_mean), "value[1].running_mean"),
    "the training flag": (module, lambda v: v.eval(), ".training"),
    "a gradient": (trained, lambda v: poke(v.model[0].weight.grad), "model[0].weight.grad"),
    "an optimizer's state": (
        trained,
        lambda v: poke(v.optimizer.state[v.model[0].weight]["exp_avg"]),
        "optimizer.state[value.model[0].weight]['exp_avg']",
    ),
    "a learning rate": (trained, lambda v: v.optimizer.param_groups[0].update(lr=9.0), "param_groups[0]['lr']"),
    "a generator of Python's": (lambda: random.Random(0), lambda v: v.random(), "value"),
    "a generator of NumPy's": (lambda: np.random.default_rng(0), lambda v: v.random(), "value"),
    "a legacy generator of NumPy's": (lambda: np.random.RandomState(0), lambda v: v.rand(), "value"),
    "a generator of torch's": (lambda: torch.Generator().manual_seed(0), lambda v: torch.rand(1, generator=v), "value"),
    "a partial's argument": (lambda: functools.partial(max, [1]), lambda v: v.args[0].append(2), ".args"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_where_it_is(name):
    make, change, path = CHANGES[name]
    value = make()
    before = leaves(value=value)
    assert leaves(value=value).leaves == before.leaves
    change(value)
    after = leaves(value=value).leaves
    changed = [key for key in {*before.leaves, *after} if before.leaves.get(key) != after.get(key)]
    assert changed and any(path in key for key in changed), (changed, path)


def test_one_bit_of_a_tensor_is_seen():
    value = torch.zeros(1000)
    before = leaves(value=value).leaves
    value.view(torch.int32)[777] ^= 1
    assert leaves(value=value).leaves != before


def test_negative_zero_is_another_value():
    assert leaves(value=torch.tensor([0.0])).leaves != leaves(value=torch.tensor([-0.0])).leaves


def test_of_a_namespace_python_s_own_names_are_no_state():
    space = {"n": 1}
    exec("", space)
    assert set(leaves(value=space).leaves) == set(leaves(value={"n": 1}).leaves)


def test_a_queue_is_soft():
    held = queue.Queue()
    held.put(1)
    found = leaves(value=held)
    assert found.leaves and set(found.leaves) == found.soft


def test_two_variables_of_one_object_are_told_to_be_one():
    value = [torch.zeros(1)]
    assert leaves(a=value, b=value).aliases == {"main|b": "main|a"}


def test_a_cycle_ends():
    value = Holder(n=1)
    value.itself = value
    assert leaves(value=value).leaves


def test_parameters_are_called_by_their_names_whatever_their_order():
    def paths(order):
        model = module()
        parameters = list(model.parameters())
        optimizer = torch.optim.SGD([parameters[i] for i in order], lr=0.1, momentum=0.9)
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
        return set(leaves(model=model, optimizer=optimizer).leaves)

    assert paths([0, 1, 2, 3]) == paths([3, 1, 0, 2])
