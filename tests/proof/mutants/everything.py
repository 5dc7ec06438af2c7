"""A training with one of everything that a resumed run must get back."""

import functools
import random
from collections import deque

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

random.seed(1)
np.random.seed(2)
torch.manual_seed(3)


class Points(Dataset):
    def __init__(self):
        self.x, self.y = torch.randn(48, 4), torch.randn(48, 1)

    def __len__(self):
        return 48

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + torch.rand(1).item()
        return self.x[index] + 0.1 * noise, self.y[index]


class Average:
    decay = 0.5

    def __init__(self, model):
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.updates = 0

    def update(self, model):
        self.updates += 1
        for name, p in model.named_parameters():
            self.shadow[name].lerp_(p.detach(), 1 / (1 + self.updates))


def make_counter():
    count = 0

    def counter():
        nonlocal count
        count += 1
        return count

    return counter


@functools.lru_cache(maxsize=8)
def shift(i):
    return random.random()


body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 4))
head = nn.Linear(4, 1)
body.eval()
adam = torch.optim.Adam(body.parameters(), lr=0.01)
sgd = torch.optim.SGD(head.parameters(), lr=0.02, momentum=0.9)
scheduler = torch.optim.lr_scheduler.LambdaLR(sgd, lambda epoch: 1 / (1 + epoch) ** 2)
average = Average(head)
counter = make_counter()
own_python, own_numpy, own_torch = random.Random(4), np.random.default_rng(5), torch.Generator().manual_seed(6)
loader = DataLoader(Points(), batch_size=4, shuffle=True, num_workers=2)
plain_loader = DataLoader(Points(), batch_size=16, shuffle=True)
endless_loader = DataLoader(Points(), batch_size=1, shuffle=True)
endless = iter(endless_loader)  # an iterator that is held, over many steps
history = []
recent = deque(maxlen=6)
weights = np.ones(3)
kinds = {"none"}
seen = 0

print("parameters:", sum(p.numel() for p in [*body.parameters(), *head.parameters()]))

for _ in range(4):  # a phase of its own, before the training proper
    adam.zero_grad()
    body(torch.randn(8, 4)).square().mean().backward()
    adam.step()


def train(epochs):
    global seen
    total = 0.0
    for epoch in range(epochs):
        if epoch == 0:
            body.train()
            torch.set_default_dtype(torch.float64)  # its random numbers are others
        with open("log.txt", "a") as log:
            print("epoch", epoch, file=log)
        scale = 1 + torch.rand(1).item()  # of the epoch: drawn on the way to the inner loop
        for i, (x, y) in enumerate(loader):
            draw = shift(i % 6) + random.random() + np.random.rand() + torch.rand(1).item()
            own = own_python.random() + own_numpy.random() + torch.rand(1, generator=own_torch).item()
            out = head(body(x + 0.01 * draw)) * scale + 0.01 * own * float(weights.sum()) + 0.001 * len(kinds)
            out = out + 0.1 * next(endless)[1]
            loss = nn.functional.mse_loss(out, y) / 2
            loss.backward()
            total += loss.item()
            recent.append(loss.item())
            weights[i % 3] += 0.1
            kinds.add(f"kind {i % 7}")
            seen += len(x)
            Average.decay *= 0.99
            if i % 2 == 1:
                adam.step()
                sgd.step()
                adam.zero_grad()
                sgd.zero_grad()
                average.update(head)
                history.append((counter(), total, Average.decay, sum(recent)))
            with open("log.txt", "a") as log:
                print(epoch, i, seen, file=log)
        scheduler.step()
        for x, _ in plain_loader:
            total += float(x.sum()) / 1000
        print(epoch, total, seen, sgd.param_groups[0]["lr"])


train(3)
print(history[-1], average.updates, {k: v.sum().item() for k, v in average.shadow.items()})
