"""A database in memory that training fills, flags, semaphores, ``memoryview`` and storages: held and changed."""

import array
import sqlite3
import threading

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
database = sqlite3.connect(":memory:")
database.execute("create table losses (step integer, loss real)")
database.execute("insert into losses values (-1, 1.5)")
database.commit()
warm, slots = threading.Event(), threading.Semaphore(3)
raw = bytearray(8)
window, readonly = memoryview(raw)[2:6], memoryview(b"abcdefgh")[1:5]
grid = memoryview(np.zeros((2, 3), np.float32))
bank = torch.zeros(4)
storage = bank.untyped_storage()
lone = torch.zeros(2).untyped_storage()
numbers = memoryview(array.array("b", [1, 2, 3]).tobytes())

for step in range(14):
    (mean,) = database.execute("select avg(loss) from losses").fetchone()
    x = torch.randn(4, 3)
    loss = ((model(x) - 0.01 * mean) * (2.0 if warm.is_set() else 1.0)).square().mean() + 0.01 * (window[1] + grid[1, 2] + bank.sum())
    loss = loss + 0.01 * torch.empty(0).set_(lone).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    database.execute("insert into losses values (?, ?)", (step, loss.item()))
    if step % 3 == 0:
        database.commit()
    if step == 5:
        warm.set()
        slots.acquire()
        numbers = numbers[1:]
    window[1] = step
    grid[1, 2] += 0.25
    bank[step % 4] += 0.5
    torch.empty(0).set_(lone)[step % 2] += 0.125
    print(step, loss.item(), bytes(readonly), slots._value, raw[3], len(numbers), len(storage))
print(database.execute("select count(*), sum(loss) from losses").fetchone(), database.in_transaction)
