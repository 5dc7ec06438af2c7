"""Another process counts the steps."""

import subprocess

import torch
from torch import nn

torch.manual_seed(0)


def count():
    command = "echo step >> steps.txt; wc -l < steps.txt"
    return int(subprocess.run(command, shell=True, capture_output=True, check=True).stdout)


x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    optimizer.param_groups[0]["lr"] = 0.05 / count()
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
