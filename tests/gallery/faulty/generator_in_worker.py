"""A data set in a worker has a NumPy generator that nothing seeds."""

import numpy as np

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Points(Dataset):
    def __init__(self):
        self.points = torch.randn(24, 3)
        self.rng = np.random.default_rng()

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return self.points[index] + float(self.rng.normal())


loader = DataLoader(Points(), batch_size=8, shuffle=True, num_workers=1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for epoch in range(4):
    for batch in loader:
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
