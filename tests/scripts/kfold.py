"""k-fold by hand: a training function called once per fold, a pandas frame of results, a new model each time."""
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset


def folds(n, k, seed):
    index = np.random.default_rng(seed).permutation(n)
    for part in np.array_split(index, k):
        yield np.setdiff1d(index, part), part


def train_epoch(model, loader, criterion, optimizer):
    model.train()
    loss_sum, correct = 0.0, 0
    for features, labels in loader:
        optimizer.zero_grad()
        output = model(features)
        loss = criterion(output, labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(labels)
        correct += (output.argmax(1) == labels).sum().item()
    return loss_sum, correct


def valid_epoch(model, loader, criterion):
    model.eval()
    loss_sum, correct = 0.0, 0
    with torch.no_grad():
        for features, labels in loader:
            output = model(features)
            loss_sum += criterion(output, labels).item() * len(labels)
            correct += (output.argmax(1) == labels).sum().item()
    return loss_sum, correct


torch.manual_seed(31)
x = torch.randn(45, 4)
dataset = TensorDataset(x, (x.sum(1) > 0).long() + (x[:, 0] > 1).long())
criterion = nn.CrossEntropyLoss()
table = pd.DataFrame(columns=["fold", "epoch", "train", "valid", "accuracy"])
scores = {}
for fold, (train_idx, val_idx) in enumerate(folds(len(dataset), 3, seed=4)):
    print("Fold", fold + 1)
    train_loader = DataLoader(dataset, batch_size=6, sampler=SubsetRandomSampler(train_idx.tolist()))
    valid_loader = DataLoader(dataset, batch_size=5, sampler=SubsetRandomSampler(val_idx.tolist()))
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01 * (fold + 1))
    for epoch in range(2):
        train_loss, _ = train_epoch(model, train_loader, criterion, optimizer)
        val_loss, correct = valid_epoch(model, valid_loader, criterion)
        table.loc[len(table)] = [fold, epoch, train_loss / len(train_idx), val_loss / len(val_idx), correct / len(val_idx)]
        print(epoch, repr(train_loss), repr(val_loss), correct)
    scores[fold] = correct / len(val_idx)
table.to_csv("folds.csv", index=False)
print(table.groupby("fold")["train"].mean().tolist(), scores)
