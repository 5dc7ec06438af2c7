"""A counter is a context variable."""

import contextvars

import torch
from torch import nn

torch.manual_seed(0)
count = contextvars.ContextVar("count")
count.set(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x) / (1 + count.get() / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    count.set(count.get() + 1)
    print(step, loss.item())
