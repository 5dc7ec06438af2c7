"""State in objects of the standard library: queues, arrays, an iterator that cycles, numbers that are no floats."""

import array
import collections
import decimal
import fractions
import functools
import heapq
import itertools
import multiprocessing
import queue
import re
import struct

import torch
from torch import nn

torch.manual_seed(1)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)


class Held:
    """Attributes only."""


h = Held()
h.first_in, h.last_in, h.best = queue.Queue(maxsize=3), queue.LifoQueue(), queue.PriorityQueue()
h.array = array.array("d", [0.0] * 3)
h.packer = struct.Struct("<if")
h.cycle = itertools.cycle([0.1, 0.2, 0.3])
h.count = itertools.count(5)
h.decimal, h.fraction = decimal.Decimal("0.1"), fractions.Fraction(1, 3)
h.chain = collections.ChainMap({"a": 1}, {"b": 2})
h.window = slice(0, 2)
h.heap = []
h.pattern = re.compile(r"\d+")
h.twice = functools.partial(torch.mul, other=2.0)
h.shared = multiprocessing.Value("d", 1.0)
h.many = multiprocessing.Array("i", 3)

for step in range(24):
    scale = next(h.cycle) + float(h.decimal) + float(h.fraction) + h.array[step % 3] + 0.1 * h.chain["a"]
    x = torch.randn(3, 4)[h.window] * h.shared.value
    loss = ((model(x) - h.twice(x) * scale) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    value = loss.item()
    if h.first_in.full():
        h.array[step % 3] = 0.01 * h.first_in.get()
    h.first_in.put(value)
    h.last_in.put(step)
    h.best.put((value, step))
    heapq.heappush(h.heap, value)
    h.decimal *= decimal.Decimal("1.01")
    h.fraction += fractions.Fraction(1, 50)
    h.chain["a"] = step % 4
    h.shared.value *= 0.99
    h.many[step % 3] += 1
    if step % 4 == 3:
        print(step, h.best.get(), h.last_in.get(), next(h.count), h.heap[0], h.packer.pack(step, 0.5), list(h.many))
print(h.first_in.qsize(), h.decimal, h.fraction)
