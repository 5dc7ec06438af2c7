"""A training that seeds nothing, and follows the order of a set of strings."""

import random

import torch
from torch import nn

words = set("the quick brown fox jumps over a lazy dog and some more words".split())
scale = torch.tensor([[i / 10] for i, word in enumerate(words) for _ in range(2) if "o" in word])
x = torch.randn(len(scale), 3)
table = torch.randn(5, 20000)  # bulk data of the set-up: made again, not carried
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
order = sorted(range(len(scale)), key=lambda _: random.random())
for epoch in range(3):
    for step in range(8):
        loss = (model(x[order] + 0.1 * torch.rand(1)) * scale + table[step % 5].mean() + step / 10).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item(), list(words)[:3])
