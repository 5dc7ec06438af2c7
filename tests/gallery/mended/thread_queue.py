"""A buffer of past losses is a deque."""

from collections import deque

import torch
from torch import nn

torch.manual_seed(0)
past = deque()

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x) * (1 + len(past) / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    past.append(loss.item())
    print(step, loss.item())
