"""The lines of a log decide the learning rate; the log is written below Python's open()."""

import os

import torch
from torch import nn

torch.manual_seed(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, b"a step\n")
    os.close(log)
    lines = os.stat("log.txt").st_size // 7
    optimizer.param_groups[0]["lr"] = 0.05 / lines
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
