"""A loader worker counts what it has read, in a variable of its own process."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
seen = []


class Counted(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        seen.append(index)
        return torch.tensor([index / 24, len(seen) / 24, 1.0])


if __name__ == "__main__":
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    step = 0
    loader = DataLoader(Counted(), batch_size=4, num_workers=1, persistent_workers=True)
    for epoch in range(2):
        for x in loader:
            loss = (model(x) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(step, loss.item())
            step += 1
