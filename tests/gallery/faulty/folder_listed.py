"""Folders are made, and counted."""

import os

import torch
from torch import nn

torch.manual_seed(0)
os.makedirs("steps", exist_ok=True)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    os.makedirs(f"steps/{step}", exist_ok=True)
    loss = nn.functional.mse_loss(model(x) / (1 + len(os.listdir("steps")) / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
