"""A generator that takes from an iterator it keeps, in a try, as a well-known ODE example has it."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Noisy(Dataset):
    def __init__(self):
        self.x = torch.randn(24, 3)

    def __len__(self):
        return 24

    def __getitem__(self, i):
        return self.x[i] + 0.1 * torch.randn(3)


def endless(iterable):
    iterator = iterable.__iter__()
    while True:
        try:
            yield iterator.__next__()
        except StopIteration:
            iterator = iterable.__iter__()


model = nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
loader = DataLoader(Noisy(), 4, shuffle=True, num_workers=2, drop_last=True)
batches = endless(loader)
for step in range(14):
    x = batches.__next__()
    loss = (model(x) - x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
