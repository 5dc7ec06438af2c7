"""Loaders of many kinds: iterable data sets, batch samplers, batch_size=None, own samplers, set_epoch, own collate."""
import random

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

torch.manual_seed(52)
random.seed(52)


class Table(Dataset):
    def __init__(self, n):
        self.x = torch.randn(n, 3)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if isinstance(i, list):
            return self.x[i] + 0.01 * torch.randn(len(i), 3)
        return self.x[i]


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        buffer = []
        for i in range(self.n):
            buffer.append(torch.full((3,), i / self.n) + 0.1 * torch.randn(3))
            if len(buffer) == 5:
                random.shuffle(buffer)
                yield buffer.pop()
        yield from buffer


class Buckets(Sampler):
    """Batches of neighbours, in an order that depends on the epoch."""

    def __init__(self, n, size):
        self.n, self.size, self.epoch = n, size, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.n // self.size

    def __iter__(self):
        starts = list(range(0, self.n - self.size + 1, self.size))
        random.Random(self.epoch).shuffle(starts)
        for s in starts:
            yield list(range(s, s + self.size))


def collate(items):
    length = random.randint(1, 3)
    return torch.stack(items)[:, :length].mean(1), length


model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.01)


def step(x, y):
    opt.zero_grad()
    loss = (model(x).squeeze(1) - y).pow(2).mean()
    loss.backward()
    opt.step()
    return loss.item()


table = Table(24)
buckets = Buckets(24, 4)
distributed = DistributedSampler(table, num_replicas=2, rank=1, shuffle=True, seed=3)
loaders = {
    "stream": DataLoader(Stream(18), batch_size=4),
    "buckets": DataLoader(table, batch_sampler=buckets),
    "whole batches": DataLoader(table, sampler=BatchSampler(SequentialSampler(table), 6, False), batch_size=None),
    "distributed": DataLoader(table, sampler=distributed, batch_size=4, drop_last=True),
    "generator": DataLoader(table, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(1)),
}
for epoch in range(2):
    buckets.set_epoch(epoch)
    distributed.set_epoch(epoch)
    for name, loader in loaders.items():
        total = 0.0
        for x in loader:
            total += step(x, x.sum(1))
        print(epoch, name, repr(total))
odd = DataLoader(table, batch_size=5, shuffle=True, collate_fn=collate, drop_last=True)
lengths = []
for epoch in range(2):
    for y, length in odd:
        lengths.append(length)
        value = step(torch.randn(5, 3), y)
    print("collate", epoch, lengths, repr(value))
