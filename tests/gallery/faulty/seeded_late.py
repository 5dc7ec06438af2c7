"""The model is made before anything is seeded."""

import torch
from torch import nn

model = nn.Linear(3, 1)
torch.manual_seed(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
