"""A signal has another handler from the third step on."""

import signal

import torch
from torch import nn

torch.manual_seed(0)


def slowly(*_):
    scale[0] *= 1.01


def quickly(*_):
    scale[0] *= 1.1


scale = [1.0]
signal.signal(signal.SIGUSR2, slowly)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    if step == 2:
        signal.signal(signal.SIGUSR2, quickly)
    signal.raise_signal(signal.SIGUSR2)
    loss = nn.functional.mse_loss(model(x) / scale[0], y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
