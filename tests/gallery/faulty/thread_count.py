"""As many threads as seem to be free just now."""

import time

import torch
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1 + int(time.monotonic() * 10) % 40)
long = torch.rand(3_000_000)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    scale = (long + step).sum() % 1
    loss = nn.functional.mse_loss(model(x) / (1 + scale), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
