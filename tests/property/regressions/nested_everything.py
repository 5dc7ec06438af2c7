# recursion, attribute targets, worklists, shared lists, context managers
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import contextlib
log = []
@contextlib.contextmanager
def section(name):
    log.append(name)
    try:
        yield len(log)
    finally:
        log.append("-" + name)
def rec(n):
    for i in range(2):
        train(n * 10 + i)
        if n:
            rec(n - 1)
class Trainer:
    def __init__(self):
        self.i, self.d = 0, {}
    def fit(self):
        for self.i in range(2):
            with section("a") as n:
                for self.d["k"] in range(2):
                    train(self.i * 10 + self.d["k"] + n)
        return self.i
rec(1)
trainer = Trainer()
event(trainer.fit(), trainer, log)
xs = [0, 1]
ys = xs
grid = [[0] * 2] * 2
for i in range(2):
    for x in xs:
        train(x)
        if len(xs) < 4:
            xs.append(x + 10)
        grid[0][1] += 1
    xs = xs[1:]
    event(xs, ys, grid)
