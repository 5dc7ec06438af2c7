"""Data is read from a file of Python's."""

from pathlib import Path

import torch
from torch import nn

torch.manual_seed(0)
Path("data.txt").write_text("\n".join("abcdefghijklmnopqrstuvwxyz"))
file = open("data.txt")

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    scale = ord(file.readline()[0]) / 100
    loss = nn.functional.mse_loss(model(x) * scale, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
