"""Augmentation draws from NumPy's generator, which is seeded."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
np.random.seed(0)


class Noisy(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return torch.full((3,), index / 24) + float(np.random.rand())


model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
step = 0
for epoch in range(2):
    for x in DataLoader(Noisy(), batch_size=4):
        loss = (model(x) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())
        step += 1
