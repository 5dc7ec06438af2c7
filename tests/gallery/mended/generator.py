"""A generator of the script's own depends on nothing that training sets."""

import torch
from torch import nn

torch.manual_seed(0)
level = [1]


def batches():
    total = 0
    for _ in range(12):
        total += 1
        yield total


x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
stream = batches()
for step in range(12):
    count = next(stream) + level[0]
    loss = nn.functional.mse_loss(model(x) / (1 + count / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    level[0] = step % 5
    print(step, loss.item())
