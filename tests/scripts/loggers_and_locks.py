"""Objects that training makes, with loggers, locks and a file that each opens when it first needs it; levels that change."""

import logging
import sqlite3
import sys
import threading

import torch
from torch import nn

torch.manual_seed(0)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
log = logging.getLogger("run")
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


class Made:
    def __init__(self, number):
        self.log, self.lock, self.number = logging.getLogger(f"run.{number}"), threading.RLock(), number
        self.database = None

    def say(self):
        if self.database is None:
            self.database = sqlite3.connect("late.db")
        with self.lock:
            (one,) = self.database.execute("select 1").fetchone()
            self.log.info("made %d %d", self.number, one)


made = []
for step in range(12):
    loss = model(torch.randn(4, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    made.append(Made(step))
    made[step // 3].say()
    log.info("step %d %s", step, repr(loss.item()))
    if step == 5:
        log.setLevel(logging.WARNING)
        made[-1].log.setLevel(logging.INFO)
