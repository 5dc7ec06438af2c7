"""torchdata's StatefulDataLoader, whose own ``state_dict`` restores no worker's random state: in the script's own hands."""

import random

import torch
from torch import nn
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

torch.manual_seed(0)


class Noisy(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, i):
        return torch.full((3,), i / 24) + torch.randn(3) * 0.1 + random.random() * 0.1


plain = StatefulDataLoader(Noisy(), batch_size=4, shuffle=True)
workers = StatefulDataLoader(Noisy(), batch_size=4, shuffle=True, num_workers=2)
model = nn.Linear(3, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

for epoch in range(2):
    for name, loader in (("plain", plain), ("workers", workers)):
        total = 0.0
        for x in loader:
            loss = (model(x) - x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(epoch, name, total)
