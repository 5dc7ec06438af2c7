"""State with a shape: aliases, cycles, slots, enums, named tuples, properties, views of one tensor, class registries."""
import enum
from collections import deque, namedtuple
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

Point = namedtuple("Point", "step loss")


class Mode(enum.Enum):
    WARM = "warm"
    HOT = "hot"


class Slotted:
    __slots__ = ("count", "last", "owner")

    def __init__(self, owner):
        self.count, self.last, self.owner = 0, None, owner


class Registry(type):
    known = {}

    def __new__(mcls, name, bases, body):
        cls = super().__new__(mcls, name, bases, body)
        mcls.known[name] = cls
        return cls


class Base(metaclass=Registry):
    instances = 0
    totals = [0.0]

    def __init__(self):
        type(self).instances += 1


class Child(Base):
    pass


@dataclass
class State:
    mode: Mode = Mode.WARM
    path: Path = Path("out")
    points: deque = field(default_factory=lambda: deque(maxlen=5))
    best: Point = Point(-1, float("inf"))
    ratio: Fraction = Fraction(1, 3)
    stats: dict = field(default_factory=dict)
    _temperature: float = 1.0

    @property
    def temperature(self):
        return self._temperature

    @temperature.setter
    def temperature(self, value):
        self._temperature = max(0.1, value)


torch.manual_seed(66)
flat = torch.zeros(6)
head, tail = flat[:3], flat[3:]
grid = np.zeros((4, 3))
row = grid[1]
state = State()
alias = state.points
slotted = Slotted(state)
state.stats["self"] = state
state.stats["slot"] = slotted
model = nn.Linear(3, 1)
weights = model.weight
params = {"w": weights, "all": [weights, model.bias]}
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
children = []
for step in range(18):
    x = torch.randn(7, 3)
    loss = ((model(x) - x[:, :1]) / state.temperature).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    point = Point(step, loss.item())
    alias.append(point)
    state.best = min(state.best, point, key=lambda p: p.loss)
    if step == 6:
        state.mode = Mode.HOT
        slotted.last = alias
    state.temperature -= 0.06
    state.ratio = state.ratio * Fraction(step + 1, step + 2)
    head += x[0]
    tail.mul_(0.9).add_(weights.detach()[0])
    row += x[1].numpy()
    slotted.count += 1
    if step % 5 == 0:
        children.append(Child())
        Base.totals.append(loss.item())
    state.stats.setdefault(state.mode, []).append(step)
    if step % 6 == 5:
        print(step, state.mode, state.best, state.ratio, repr(state.temperature), [p.step for p in state.points])
print(flat.tolist(), grid.sum(), row.tolist(), slotted.count, slotted.last is state.points, state.stats["self"] is state)
print(Child.instances, Base.instances, Base.totals, params["w"] is model.weight, params["all"][0] is weights)
print({k: v for k, v in state.stats.items() if isinstance(k, Mode)}, state.path, list(Registry.known))
