"""Instances of unusual classes: slots, enums, descriptors, metaclasses, dicts that answer for their keys."""

import collections
import contextlib
import dataclasses
import enum
import functools
import operator
import typing

import torch
from torch import nn

torch.manual_seed(0)


class Phase(enum.Enum):
    WARM = 1
    FULL = 2


class Flags(enum.IntFlag):
    SEEN = 1
    LATE = 2


@dataclasses.dataclass(slots=True)
class State:
    step: int = 0
    history: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Config:
    scale: float = 1.0


class Transition(typing.NamedTuple):
    state: torch.Tensor
    reward: float


class AttrDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Reversed(list):
    def __iter__(self):
        return reversed([self[i] for i in range(len(self))])


class Key:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return hash(self.n)


class Registered(type):
    made = {}

    def __new__(mcs, name, bases, namespace):
        cls = super().__new__(mcs, name, bases, namespace)
        mcs.made[name], cls.uses = cls, 0
        return cls


class Squared(metaclass=Registered):
    def __call__(self, a, b):
        type(self).uses += 1
        return (a - b).square().mean() * (1 + 0.01 * type(self).uses)


class Absolute(Squared):
    def __call__(self, a, b):
        type(self).uses += 1
        return (a - b).abs().mean() * (1 + 0.02 * type(self).uses)


class Fading:
    def __get__(self, instance, owner=None):
        return self if instance is None else instance.__dict__.get("_fading", 1.0)

    def __set__(self, instance, value):
        instance.__dict__["_fading"] = value * 0.99


class Node:
    fading = Fading()
    count = 0

    def __init__(self):
        self.me, self.children = self, []
        Node.count += 1

    @functools.cached_property
    def late(self):
        return 3.0 + len(self.children)


def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        wrapper.calls += 1
        return function(*args)

    wrapper.calls = 0
    return wrapper


@counted
def noisy(x, seen=[]):  # noqa: B006
    seen.append(len(seen))
    return x + 0.001 * len(seen)


@contextlib.contextmanager
def noted(box):
    box.append(len(box))
    yield box
    box[-1] += 0.5


model = nn.Linear(3, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
state, config, phase, flags = State(), Config(), Phase.WARM, Flags.SEEN
options = AttrDict(k=1.0, nested=AttrDict(z=2.0))
keyed = {Key(1): 0.0, Key(2): 1.0}
node, losses, memory, box = Node(), [Squared(), Absolute()], Reversed(), []
ordered, k_of, add_child = collections.OrderedDict(), operator.attrgetter("k"), node.children.append

for epoch in range(2):
    with noted(box) as same_box:
        for i in range(7):
            x = noisy(torch.randn(4, 3)) * config.scale
            factor = (1 + 0.1 * (phase is Phase.FULL)) * (1 + 0.01 * k_of(options)) * node.fading
            loss = losses[i % 2](model(x), x) * factor
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state.step += 1
            state.history.append(loss.item())
            config = dataclasses.replace(config, scale=config.scale * 1.01)
            memory.append(Transition(x[0], loss.item()))
            options.k += 0.1
            options.nested.z *= 1.1
            keyed[Key(1 + i % 2)] += i
            node.fading = node.fading
            add_child(i)
            ordered[i] = loss.item()
            ordered.move_to_end(i)
            if i == 3:
                phase, flags = Phase.FULL if phase is Phase.WARM else Phase.WARM, flags | Flags.LATE
            if len(memory) > 4:
                del memory[0]
    print(epoch, state.step, state.history[-1], config, phase, flags, options, list(keyed.values()), node.late)
    print(node.fading, len(node.children), Registered.made["Absolute"].uses, Squared.uses, noisy.calls, box)
    print(list(ordered)[:3], sum(t.reward for t in memory), next(iter(memory)).reward, same_box is box)
