"""A logging handler gathers records, and they are counted."""

import logging.handlers

import torch
from torch import nn

torch.manual_seed(0)
gathered = logging.handlers.MemoryHandler(1000)
log = logging.getLogger("training")
log.addHandler(gathered)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    log.warning("step %d", step)
    loss = nn.functional.mse_loss(model(x) / (1 + len(gathered.buffer) / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
