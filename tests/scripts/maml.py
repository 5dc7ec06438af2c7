"""Meta-learning: an inner loop of functional updates with create_graph, an outer step over several tasks."""
import numpy as np
import torch
from torch import nn
from torch.func import functional_call

torch.manual_seed(84)
np.random.seed(84)


class Tasks:
    def __init__(self):
        self.drawn = 0

    def __iter__(self):
        while True:
            self.drawn += 1
            amplitude, phase = np.random.uniform(0.5, 2.0), np.random.uniform(0, np.pi)

            def sample(n):
                x = torch.rand(n, 1) * 4 - 2
                return x, amplitude * torch.sin(x + phase)

            yield sample


model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
meta = torch.optim.Adam(model.parameters(), lr=0.01)
alpha = nn.Parameter(torch.full((4,), 0.05))
meta.add_param_group({"params": [alpha], "lr": 1e-3})
tasks = iter(Tasks())
mse = nn.functional.mse_loss
for iteration in range(8):
    meta.zero_grad()
    outer = 0.0
    for _ in range(3):
        task = next(tasks)
        fast = dict(model.named_parameters())
        x, y = task(5)
        for k in range(2):
            loss = mse(functional_call(model, fast, (x,)), y)
            grads = torch.autograd.grad(loss, tuple(fast.values()), create_graph=True)
            fast = {n: p - alpha[i] * g for i, ((n, p), g) in enumerate(zip(fast.items(), grads))}
        x, y = task(8)
        query = mse(functional_call(model, fast, (x,)), y) / 3
        query.backward()
        outer += query.item()
    meta.step()
    print(iteration, repr(outer), alpha.tolist())

# Reptile: whole copies, moved towards
for iteration in range(4):
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    inner = torch.optim.SGD(model.parameters(), lr=0.02)
    x, y = next(tasks)(10)
    for k in range(3):
        inner.zero_grad()
        mse(model(x), y).backward()
        inner.step()
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(before[n] + 0.5 * (p - before[n]))
print(sum(float(p.sum()) for p in model.parameters()))
