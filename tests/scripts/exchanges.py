"""What the set-up has made and training exchanges, or makes of a class of its own: by the first argument."""

import contextlib
import sqlite3
import sys

import torch
from torch import nn

torch.manual_seed(0)
what = sys.argv[1]
model = nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
context = contextlib.nullcontext()
database = sqlite3.connect("a.db")
rows = sqlite3.connect(":memory:").execute("select 1")
log = open("a.txt", "w")
held, opened_late = None, None


def class_of_its_own():
    class Local:
        size = 1

    return Local()


def late():
    global context, database, held, log, opened_late, rows
    opened_late = opened_late or sqlite3.connect("late.db")
    opened_late.execute("select 1").fetchone()
    if what == "context":
        context = torch.autocast("cpu", enabled=False)
    elif what == "database":
        database = sqlite3.connect("b.db")
    elif what == "memory":
        held = held or sqlite3.connect(":memory:")
    elif what == "file" and log.name == "a.txt":
        log = open("b.txt", "w")
    elif what == "class":
        held = held or class_of_its_own()
    elif what == "type":
        held = held or type("Made", (), {"size": 2})()


if what != "rows":
    rows = None
for step in range(9):
    with context:
        loss = model(torch.randn(4, 3)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    late()
    print(step, loss.item(), file=log)
print(rows and rows.fetchone(), database is not None, held is not None)
