"""Each step runs a task to its end."""

import asyncio

import torch
from torch import nn

torch.manual_seed(0)


async def counted(steps):
    await asyncio.sleep(0)
    return steps + 1


steps = 0
events = asyncio.new_event_loop()

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    steps = events.run_until_complete(counted(steps))
    loss = nn.functional.mse_loss(model(x) / (1 + steps / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
