"""A closure keeps a NumPy generator with a seed."""

import numpy as np

import torch
from torch import nn

torch.manual_seed(0)


def make_noise():
    rng = np.random.default_rng(7)

    def noise():
        return torch.tensor(rng.normal(size=(24, 3)), dtype=torch.float32)

    return noise


noise = make_noise()

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x + 0.1 * noise()), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
