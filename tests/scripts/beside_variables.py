"""What lives beside the variables: the environment, and attributes of installed modules and their classes."""
import os
import random

import torch
import torch.utils.data as data
from torch import nn
from torch.optim import SGD

os.environ["PHASE"] = "set-up"
os.environ["WARMUP"] = "1"
data.schedule = {"lr": 0.1, "seen": []}
nn.Linear.gain = torch.ones(3)
SGD.turns = 0
torch.manual_seed(int(os.environ.get("SEED", "5")))
model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
optimizer = SGD(model.parameters(), lr=0.1)

for epoch in range(3):
    os.environ["PHASE"] = f"epoch {epoch}"
    if epoch:
        os.environ.pop("WARMUP", None)
    data.schedule["lr"] *= 0.7
    for i in range(5):
        import statistics
        x = torch.randn(8, 3) * nn.Linear.gain
        lr = data.schedule["lr"] * (0.1 if "WARMUP" in os.environ else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * getattr(statistics, "factor", 1.0)
        loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        SGD.turns += 1
        nn.Linear.gain.mul_(0.99)
        statistics.factor = 1.0 - SGD.turns / 50
        data.schedule["seen"].append(round(loss.item(), 6))
        os.environ["LAST"] = repr(loss.item())
    random.shuffle(data.schedule["seen"])
    print(os.environ["PHASE"], os.environ["LAST"], SGD.turns, data.schedule, nn.Linear.gain.tolist())
print(float(model[0].weight.sum()), statistics.factor)
