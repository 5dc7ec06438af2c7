"""The scale of the noise is a process number."""

import os

import torch
from torch import nn

torch.manual_seed(0)
scale = os.getpid() % 89 / 89

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    noise = scale * torch.randn(24, 3)
    loss = nn.functional.mse_loss(model(x + 0.1 * noise), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
