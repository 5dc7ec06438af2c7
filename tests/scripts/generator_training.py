"""Training that happens inside generators, decorated functions and context managers."""
import contextlib
import functools

import torch
from torch import nn

torch.manual_seed(37)
calls = {}
nesting = []


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls[function.__name__] = calls.get(function.__name__, 0) + 1
        return function(*args, **kwargs)

    return wrapper


@contextlib.contextmanager
def phase(name):
    nesting.append(name)
    print("enter", "/".join(nesting))
    try:
        yield len(nesting)
    finally:
        print("leave", nesting.pop())


def training(model, optimizer, steps):
    """Yields the loss of each step; the caller decides when it is enough."""
    smooth = None
    for step in range(steps):
        x = torch.randn(6, 3)
        loss = (model(x) - x.mean(1, keepdim=True)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.7 * smooth + 0.3 * loss.item()
        yield step, smooth


@counted
def fit(model, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for epoch in range(epochs):
        with phase(f"epoch {epoch}"):
            for batch in range(5):
                train_step(model, optimizer, scale=1 + epoch)


@counted
def train_step(model, optimizer, *, scale):
    loss = (model(torch.ones(2, 3) * scale) - torch.rand(2, 1)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


model = nn.Sequential(nn.Linear(3, 5), nn.ELU(), nn.Linear(5, 1))
with phase("decorated"):
    fit(model, 2)

optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
with phase("generator"), contextlib.suppress(ZeroDivisionError):
    for step, smooth in training(model, optimizer, 50):
        if step % 3 == 0:
            print(step, repr(smooth))
        if step == 10:
            break
print(calls, nesting)
