"""State that lies in members of an enum, and in a namespace that exec() was given."""

import enum

import torch
from torch import nn

torch.manual_seed(0)


class Phase(enum.Enum):
    WARM = "warm"
    MAIN = "main"

    def __init__(self, _):
        self.seen = []


space = {}
exec("count = 0\ndef raised():\n    global count\n    count += 1\n    return count", space)
x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(14):
    phase = Phase.WARM if step < 4 else Phase.MAIN
    noise = len(Phase.WARM.seen) + 2 * len(phase.seen) + 0.1 * space["raised"]()
    loss = nn.functional.mse_loss(model(x) / (1 + noise / 50), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    phase.seen.append(loss.item())
    print(step, loss.item(), noise)
print([sum(phase.seen) for phase in Phase])
