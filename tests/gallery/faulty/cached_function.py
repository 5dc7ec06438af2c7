"""A cached function draws at random."""

import functools

import torch
from torch import nn

torch.manual_seed(0)


@functools.lru_cache
def noise(i):
    return torch.randn(24, 3)


x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x + 0.1 * noise(step % 4)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
