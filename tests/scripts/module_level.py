"""Classify points on two rings; everything at module level."""
import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
np.random.seed(0)

angle = np.random.uniform(0, 2 * np.pi, 96)
radius = np.repeat([1.0, 2.0], 48) + np.random.normal(0, 0.2, 96)
data = torch.tensor(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), dtype=torch.float32)
target = torch.tensor(np.repeat([0, 1], 48))
order = torch.randperm(96)
train_set = TensorDataset(data[order[:64]], target[order[:64]])
test_set = TensorDataset(data[order[64:]], target[order[64:]])
train_loader = DataLoader(train_set, batch_size=8, shuffle=True)
test_loader = DataLoader(test_set, batch_size=16)

model = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=1e-2)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

best_acc = 0
history = []
for epoch in range(3):
    model.train()
    running_loss = 0.0
    for batch_idx, (x, y) in enumerate(train_loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if batch_idx % 4 == 3:
            print(f"[{epoch}, {batch_idx}] loss: {running_loss / 4!r}")
            running_loss = 0.0
    scheduler.step()

    model.eval()
    correct = 0
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(1) == y).sum().item()
    acc = correct / len(test_set)
    history.append(acc)
    if acc >= best_acc:
        best_acc = acc
        torch.save(model.state_dict(), "best.pt")
    print("epoch", epoch, "acc", acc, "best", best_acc, "lr", scheduler.get_last_lr())

print("history", history)
