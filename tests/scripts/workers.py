"""Loader workers with random augmentation through python, NumPy and torch; a validation loader with workers inside."""
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Augmented(Dataset):
    def __init__(self, n, train):
        rng = np.random.RandomState(n)
        self.images = rng.rand(n, 1, 6, 6).astype(np.float32)
        self.labels = rng.randint(0, 2, n)
        self.train = train

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        image = torch.from_numpy(self.images[i]).clone()
        if self.train:
            if random.random() < 0.5:
                image = image.flip(2)
            image = image + torch.randn(1, 6, 6) * 0.1
            image = image * float(np.random.uniform(0.8, 1.2))
        return image, int(self.labels[i])


def seed_worker(worker_id):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def main():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    train_loader = DataLoader(Augmented(42, True), batch_size=6, shuffle=True, num_workers=2, worker_init_fn=seed_worker)
    val_loader = DataLoader(Augmented(12, False), batch_size=6, num_workers=1)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(3):
        model.train()
        for step, (images, labels) in enumerate(train_loader):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val = sum(nn.functional.cross_entropy(model(x), y).item() for x, y in val_loader)
        print(epoch, step, repr(loss.item()), repr(val))


if __name__ == "__main__":
    main()
