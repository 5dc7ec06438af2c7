"""One way to add, always."""

import torch
from torch import nn

torch.manual_seed(0)
torch.backends.cudnn.benchmark = False
long = torch.rand(24, 10_000)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    scale = sum((row + step).sum() for row in long) / 1e5
    loss = nn.functional.mse_loss(model(x) / (1 + scale), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
