"""What cudnn.benchmark does on a GPU, imitated on a CPU: of ways to add, the one that was measured as faster is taken."""

import time

import torch
from torch import nn

torch.manual_seed(0)
torch.backends.cudnn.benchmark = True
long = torch.rand(24, 10_000)


def measured():
    begin = time.perf_counter_ns()
    torch.ones(9).sum()
    return (time.perf_counter_ns() - begin) % 7


def total(row):
    if measured() < measured():
        return row.sum()
    return row.half().sum().float()



x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    scale = sum(total(row + step) for row in long) / 1e5
    loss = nn.functional.mse_loss(model(x) / (1 + scale), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
