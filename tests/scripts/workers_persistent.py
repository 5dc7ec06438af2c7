"""Workers that stay alive between epochs and cache what they have loaded; a sharded stream with workers."""
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info


class Cached(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(3)
        self.cache = {}

    def __len__(self):
        return 20

    def __getitem__(self, i):
        if i not in self.cache:
            self.cache[i] = torch.arange(3) * (1 + i / 20)
        return self.cache[i] + float(self.rng.normal()) * 0.1 + random.random() * 0.1


class Shards(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        for i in range(info.id, 16, info.num_workers):
            yield torch.full((3,), i / 16) + torch.randn(3) * 0.1 + random.random() * 0.1


def main():
    torch.manual_seed(9)
    random.seed(9)
    persistent = DataLoader(Cached(), batch_size=4, shuffle=True, num_workers=2, persistent_workers=True, prefetch_factor=3)
    stream = DataLoader(Shards(), batch_size=3, num_workers=2)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
    opt = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(3):
        total = 0.0
        for x in persistent:
            loss = (model(x).squeeze(1) - x.sum(1)).pow(2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item()
        print("persistent", epoch, repr(total))
    for epoch in range(2):
        for x in stream:
            loss = (model(x).squeeze(1) - x.prod(1)).pow(2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
        print("stream", epoch, repr(loss.item()))


if __name__ == "__main__":
    main()
