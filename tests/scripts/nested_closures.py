"""Functions within functions: nonlocal counters, a closure made anew in each iteration, a lambda as schedule."""
import random

import torch
from torch import nn

random.seed(7)
torch.manual_seed(7)


def make_task():
    w = torch.randn(4, 2)

    def sample(n):
        x = torch.randn(n, 4)
        noise = torch.tensor([[random.gauss(0, 0.1) for _ in range(2)] for _ in range(n)])
        return x, x @ w + noise

    return sample


def run(steps, outer):
    sample = make_task()
    model = nn.Linear(4, 2)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02)
    schedule = lambda t: 0.02 / (1 + 0.1 * t)
    count = 0
    smoothed = None

    def update(loss):
        nonlocal count, smoothed
        count += 1
        smoothed = loss if smoothed is None else 0.9 * smoothed + 0.1 * loss
        for group in optimizer.param_groups:
            group["lr"] = schedule(count)

    def train_round(r):
        total = 0.0
        for s in range(steps):
            x, y = sample(16)

            def objective():
                penalty = sum(p.abs().sum() for p in model.parameters())
                return ((model(x) - y) ** 2).mean() + 1e-3 * (r + 1) * penalty

            closure = objective
            optimizer.zero_grad()
            loss = closure()
            loss.backward()
            optimizer.step()
            update(loss.item())
            total += loss.item()
        return total / steps

    results = []
    for r in range(outer):
        results.append(train_round(r))
        print("round", r, repr(results[-1]), "smoothed", repr(smoothed), "count", count)
    return results, count


results, count = run(6, 4)
print(sum(results), count)
