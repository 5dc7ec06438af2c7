"""A switch of the processor, which can't be read, is set in the middle of training."""

import torch
from torch import nn

torch.manual_seed(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
tiny = torch.full((24,), 1e-20)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    if step == 2:
        torch.set_flush_denormal(True)
    shift = (tiny * tiny).sum() * 1e38  # denormal numbers, which are taken for 0 from then on
    loss = nn.functional.mse_loss(model(x) + shift, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
