"""What is to be printed at the end is registered before the first."""

import atexit

import torch
from torch import nn

torch.manual_seed(0)
kept = []
atexit.register(lambda: print("the third loss was", *kept))

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 2:
        kept.append(loss.item())
    print(step, loss.item())
