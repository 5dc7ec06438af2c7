"""Steps are counted in a database."""

import sqlite3

import torch
from torch import nn

torch.manual_seed(0)


def count():
    base = sqlite3.connect("steps.db")
    base.execute("create table if not exists steps (number)")
    base.execute("insert into steps values (1)")
    base.commit()
    rows = base.execute("select count(*) from steps").fetchone()[0]
    base.close()
    return rows


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
