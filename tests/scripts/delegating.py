"""Generators that hand over to others by ``yield from``, on the way to the loop."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(4)
model = nn.Linear(3, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
data = TensorDataset(torch.randn(20, 3))


def endless(loader):
    while True:
        yield from loader


def doubled(source):
    yield from ((x, 2.0) for x in ())
    for (x,) in source:
        yield from [(x, 1.0), (x, 2.0)]


def train(x, scale):
    loss = ((model(x) - scale * x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


batches = endless(DataLoader(data, 4, shuffle=True))
for step in range(13):
    (batch,) = next(batches)
    value = train(batch, 0.5)
print(value)
for epoch in range(2):
    for batch, scale in doubled(DataLoader(data, 5, shuffle=True)):
        value = train(batch, scale)
    print(epoch, value)
