"""A counter is an attribute of a class of the script's own."""

import torch
from torch import nn

torch.manual_seed(0)


class Scaled(nn.Linear):
    count = 0



x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x) / (1 + Scaled.count / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    Scaled.count += 1
    print(step, loss.item())
