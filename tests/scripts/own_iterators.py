"""Batches from iterator classes of one's own: __next__ by hand, __getitem__ with IndexError, a batcher that reshuffles."""
import numpy as np
import torch
from torch import nn


class Batcher:
    """Its own iterator: position, order and epoch are attributes."""

    def __init__(self, x, y, size, seed):
        self.x, self.y, self.size = x, y, size
        self.rng = np.random.default_rng(seed)
        self.order = np.arange(len(x))
        self.epoch = 0

    def __iter__(self):
        self.rng.shuffle(self.order)
        self.position = 0
        self.epoch += 1
        return self

    def __next__(self):
        if self.position >= len(self.order):
            raise StopIteration
        index = self.order[self.position : self.position + self.size]
        self.position += self.size
        return torch.from_numpy(self.x[index]), torch.from_numpy(self.y[index])

    def __len__(self):
        return -(-len(self.order) // self.size)


class Pages:
    def __init__(self, n):
        self.n = n
        self.reads = 0

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError(i)
        self.reads += 1
        return torch.full((4, 3), i / self.n) + torch.randn(4, 3)


class Window:
    """A new iterator object each time, with a buffer."""

    def __init__(self, source, k):
        self.source, self.k = source, k

    def __iter__(self):
        return Window._Iterator(iter(self.source), self.k)

    class _Iterator:
        def __init__(self, inner, k):
            self.inner, self.k, self.buffer = inner, k, []

        def __iter__(self):
            return self

        def __next__(self):
            while len(self.buffer) < self.k:
                self.buffer.append(next(self.inner))
            out = torch.cat(self.buffer)
            self.buffer.pop(0)
            return out


torch.manual_seed(4)
rng = np.random.default_rng(4)
x = rng.standard_normal((26, 3)).astype(np.float32)
batches = Batcher(x, np.abs(x).sum(1, keepdims=True), 5, seed=1)
model = nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.02)


def step(a, b):
    loss = nn.functional.l1_loss(model(a), b)
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss.item()


for epoch in range(3):
    for a, b in batches:
        value = step(a, b)
    print("batcher", epoch, batches.epoch, batches.position, repr(value))
pages = Pages(6)
for epoch in range(2):
    for a in pages:
        value = step(a, a.abs().sum(1, keepdim=True))
    print("pages", epoch, pages.reads, repr(value))
for a in Window(pages, 2):
    value = step(a, a.abs().sum(1, keepdim=True))
print("window", pages.reads, repr(value))
