"""A counter lies in a large file that is mapped."""

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
with open("cells.bin", "wb") as file:
    file.truncate(16 << 20)


def cells():
    return np.memmap("cells.bin", np.int64, "r+")



x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    count = int(cells()[0])
    loss = nn.functional.mse_loss(model(x) / (1 + count / 10), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    cells()[0] = count + 1
    print(step, loss.item())
