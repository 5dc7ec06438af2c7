"""Loops over generators of libraries: folds, and one that draws for each item and looks ahead."""

import torch
from sklearn.model_selection import KFold, StratifiedKFold
from torch import nn
from torch.utils.data import RandomSampler, BatchSampler
from tqdm import tqdm

torch.manual_seed(0)
x = torch.randn(24, 3)
y = (x.sum(1) > 0).long()


def train(model, optimizer, rows):
    loss = nn.functional.cross_entropy(nn.functional.dropout(model(x[rows]), 0.2), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


for fold, (seen, held_out) in enumerate(KFold(3, shuffle=True).split(x)):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for epoch in range(2):
        for rows in torch.tensor(seen)[torch.randperm(len(seen))].split(6):
            loss = train(model, optimizer, rows)
    print(fold, loss, (model(x[held_out]).argmax(1) == y[held_out]).float().mean().item())
for seen, _ in tqdm(StratifiedKFold(4).split(x.numpy(), y.numpy()), disable=True):
    loss = train(model, optimizer, torch.tensor(seen))
print(loss)
for rows in iter(BatchSampler(RandomSampler(range(24), replacement=True, num_samples=64), 4, drop_last=True)):
    loss = train(model, optimizer, torch.tensor(rows))
print(loss)
