"""Generators of every kind, held everywhere: NumPy legacy and Generator, random.Random, torch.Generator, a sampler."""
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

np.random.seed(1)
random.seed(2)
torch.manual_seed(3)


class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(4)
        self.dice = random.Random(5)
        self.values = self.rng.standard_normal((30, 4)).astype(np.float32)

    def __len__(self):
        return 30

    def __getitem__(self, i):
        x = self.values[i] * self.rng.uniform(0.9, 1.1, 4)
        if self.dice.random() < 0.3:
            x = x[::-1]
        if random.random() < 0.3:
            x = -x
        x = x + np.random.normal(0, 0.1, 4)
        return torch.tensor(x.copy(), dtype=torch.float32), float(i % 3 == 0)


class Mixup:
    generator = torch.Generator().manual_seed(6)

    def __init__(self):
        self.beta = np.random.RandomState(7)

    def __call__(self, x, y):
        lam = float(self.beta.beta(0.4, 0.4))
        perm = torch.randperm(len(x), generator=self.generator)
        return lam * x + (1 - lam) * x[perm], y, y[perm], lam


loader_generator = torch.Generator()
loader_generator.manual_seed(8)
dataset = Noisy()
sampler = WeightedRandomSampler([1.0 + (i % 3 == 0) for i in range(30)], 28, generator=loader_generator)
loader = DataLoader(dataset, batch_size=4, sampler=sampler, generator=loader_generator)
mixup = Mixup()
extra = {"philox": np.random.Generator(np.random.Philox(9)), "list": [random.Random(10)]}
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.01)
bce = nn.functional.binary_cross_entropy_with_logits
for epoch in range(3):
    seen = []
    for x, y in loader:
        x, ya, yb, lam = mixup(x, y.float())
        x = x + torch.tensor(extra["philox"].normal(0, 0.05, tuple(x.shape)), dtype=torch.float32)
        if extra["list"][0].random() < 0.2:
            x = x * 1.5
        out = model(x).squeeze(1)
        loss = lam * bce(out, ya) + (1 - lam) * bce(out, yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        seen.append(loss.item())
    print(epoch, sum(seen), np.random.rand(), random.random(), torch.rand(1).item())
print(dataset.rng.random(), dataset.dice.random(), extra["philox"].random(), mixup.beta.rand())
