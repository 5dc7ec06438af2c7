"""Objects that refer to themselves draw a random number when they are made."""

import random

import torch
from torch import nn

torch.manual_seed(0)


class Noise:
    def __init__(self):
        self.me = self
        random.random()


random.seed(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    for _ in range(60):
        Noise()
    loss = nn.functional.mse_loss(model(x) * (1 + random.random()), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
