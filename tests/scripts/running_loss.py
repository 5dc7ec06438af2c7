"""Sums losses with their graphs on, in place, beside a loader: carried detached, as what they are."""

import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

torch.manual_seed(0)
random.seed(0)
data = torch.randn(24, 3)


class Shuffled(Sampler):
    def __init__(self):
        self.epoch = 0

    def __len__(self):
        return 24

    def __iter__(self):
        order = list(range(24))
        random.shuffle(order)
        self.epoch += 1
        yield from order


loader = DataLoader(data, 4, sampler=Shuffled())
model = nn.Linear(3, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(3):
    running = 0
    for batch in loader:
        loss = (model(batch) - batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss
    print(epoch, running.item() / len(loader), loader.sampler.epoch)
