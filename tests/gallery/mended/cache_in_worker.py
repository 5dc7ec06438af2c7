"""A data set draws its random results when it is made."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Points(Dataset):
    def __init__(self):
        self.points = torch.randn(24, 3)
        self.drawn = self.points + torch.randn(24, 3)

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return self.drawn[index]


loader = DataLoader(Points(), batch_size=8, shuffle=True, num_workers=1, persistent_workers=True)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for epoch in range(4):
    for batch in loader:
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
