"""Loops that exceptions end: an iterator by hand, early stopping, a batch that does not fit, an interruption."""
import traceback
from contextlib import suppress

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(7)
X = torch.linspace(-1, 1, 48).unsqueeze(1)
Y = torch.sin(3 * X) + 0.05 * torch.randn(48, 1)
model = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


class EarlyStopping(Exception):
    def __init__(self, epoch, state):
        super().__init__(f"no better since epoch {epoch}")
        self.epoch, self.state = epoch, state


class DoesNotFit(RuntimeError):
    pass


def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def batches(size=8):
    return DataLoader(TensorDataset(X, Y), batch_size=size, shuffle=True)


# an iterator that is asked until it has no more
for epoch in range(2):
    it, total = iter(batches()), 0.0
    try:
        while True:
            x, y = next(it)
            total += step(x, y)
    except StopIteration:
        print("epoch", epoch, repr(total))

# early stopping by an exception, which brings the best weights along
def train(epochs, patience):
    best, waited, state = float("inf"), 0, None
    for epoch in range(epochs):
        losses = [step(x, y) for x, y in batches(16)]
        for x, y in batches(24):
            losses.append(step(x, y))
        if losses[-1] < best:
            best, waited = losses[-1], 0
            state = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            waited += 1
            if waited > patience:
                raise EarlyStopping(epoch, state)
        print("epoch", epoch, losses)


try:
    train(50, patience=1)
except EarlyStopping as stop:
    print(stop, "epoch", stop.epoch)
    model.load_state_dict(stop.state)

# a batch that does not fit is tried again in halves
size = 24
while size > 6:
    try:
        for x, y in batches(size):
            if len(x) > 12:
                step(x[:2], y[:2])
                raise DoesNotFit(f"{len(x)} do not fit")
            print("size", size, step(x, y))
        break
    except DoesNotFit as error:
        print("again:", error, "context:", error.__context__)
        size //= 2
        continue
    finally:
        print("finally", size)

# interrupted by hand, and then finetuned in the handler
log = []
try:
    for epoch in range(3):
        for x, y in batches(16):
            log.append(step(x, y))
            if len(log) == 5:
                raise KeyboardInterrupt
except KeyboardInterrupt as interrupt:
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for x, y in batches(16):
        log.append(step(x, y))
    print("interrupted at", [(entry.lineno, entry.name) for entry in traceback.extract_tb(interrupt.__traceback__)])

with suppress(IndexError):
    while True:
        log.append(step(X[: len(log)], Y[: len(log)]))
        if len(log) == 11:
            [][0]

for x, y in batches(16):
    log.append(step(x, y))
print(log, float(model[0].weight.sum()))
