"""The dtype of the noise follows the step."""

import torch
from torch import nn

torch.manual_seed(0)

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    dtype = torch.float64 if step >= 2 else torch.float32
    noise = torch.randn(24, 3, dtype=dtype)
    loss = nn.functional.mse_loss(model((x + 0.1 * noise).float()), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
