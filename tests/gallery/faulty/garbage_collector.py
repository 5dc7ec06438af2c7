"""What the garbage collector has counted is computed with."""

import gc

import torch
from torch import nn

torch.manual_seed(0)
gc.collect()

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    count = gc.get_stats()[0]['collections'] + gc.get_count()[0] % 7
    loss = nn.functional.mse_loss(model(x) / (1 + count / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
