"""The data change as training goes on: loaders made anew, growing batches, samples appended, hard examples mined."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

torch.manual_seed(13)
np.random.seed(13)


class Growing(Dataset):
    def __init__(self):
        self.items = []
        self.difficulty = 1
        self.cache = {}

    def extend(self, n):
        for _ in range(n):
            x = np.random.randn(3).astype(np.float32)
            self.items.append((x, np.float32(np.sin(self.difficulty * x).sum())))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        if i not in self.cache:
            self.cache[i] = torch.rand(1).item()
        x, y = self.items[i]
        return torch.from_numpy(x) * (1 + 0.1 * self.cache[i]), torch.tensor(y), i


model = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.02)
data = Growing()
data.extend(16)
errors = torch.zeros(64)
batch_size = 4
loader = DataLoader(data, batch_size=batch_size, shuffle=True)
for epoch in range(4):
    for x, y, index in loader:
        out = model(x).squeeze(1)
        each = (out - y) ** 2
        opt.zero_grad()
        each.mean().backward()
        opt.step()
        errors[index] = each.detach()
    hard = errors[: len(data)].argsort(descending=True)[:6].tolist()
    print(epoch, len(data), batch_size, hard, repr(errors.sum().item()), round(sum(data.cache.values()), 12))
    if epoch % 2 == 0:
        data.difficulty += 1
        data.extend(8)
        batch_size *= 2
        loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    else:
        loader = DataLoader(ConcatDataset([data, Subset(data, hard)]), batch_size=batch_size, shuffle=True)

pool, labelled = set(range(20)), {0, 5, 7}
pool -= labelled
x = torch.randn(20, 3)
target = TensorDataset(x, x.prod(1))
for query in range(3):
    subset = DataLoader(Subset(target, sorted(labelled)), batch_size=3, shuffle=True)
    for _ in range(2):
        for a, b in subset:
            loss = (model(a).squeeze(1) - b).abs().mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
    with torch.no_grad():
        candidates = sorted(pool)
        pick = candidates[int(model(x[candidates]).argmax())]
    pool.remove(pick)
    labelled.add(pick)
    print("query", query, pick, sorted(labelled), repr(loss.item()))
