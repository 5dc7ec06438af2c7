"""A shell leaves a lock behind, and the set-up fails when it is there."""

import os
import subprocess

import torch
from torch import nn

torch.manual_seed(0)
if os.access("lock", os.F_OK):
    raise RuntimeError("another process trains here")
subprocess.run("touch lock", shell=True, check=True)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
