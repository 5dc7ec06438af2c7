"""Numbers are read from a list."""

from pathlib import Path

import torch
from torch import nn

torch.manual_seed(0)
Path("numbers.txt").write_text("".join(f"{i * i % 13}\n" for i in range(40)))
numbers = iter(Path("numbers.txt").read_text().splitlines())

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    scale = 1 + int(next(numbers)) / 10
    loss = nn.functional.mse_loss(model(x) * scale, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
