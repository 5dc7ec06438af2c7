"""The digits again, with checkpoints written by hand as many scripts have them: last and best, once an epoch.

    python examples/digits_checkpointed.py --folder drive/digits
    survivor run examples/digits_checkpointed.py --folder drive/digits

Run alone and killed, it goes on at the last epoch that ended, with other random numbers than it would
have had. Under survivor it goes on at the batch, and prints what an undisturbed run prints.
"""

import argparse
import hashlib
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Digits(Dataset):
    """8x8 images of handwritten digits, shifted, turned and made noisy at random when ``augment`` is set."""

    def __init__(self, images, labels, augment):
        self.images = torch.tensor(images, dtype=torch.float32).div(16).reshape(-1, 1, 8, 8)
        self.labels = torch.tensor(labels)
        self.augment = augment

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, label = self.images[index], self.labels[index]
        if self.augment:
            image = add_noise(turn(shift(image)))
        return image, label


def shift(image):
    """Move by up to one pixel each way (python's generator)."""
    rows, columns = random.randint(-1, 1), random.randint(-1, 1)
    return torch.roll(image, (rows, columns), dims=(1, 2))


def turn(image):
    """Turn by up to about ten degrees either way (torch's generator)."""
    angle = (torch.rand(1) - 0.5) * 0.35
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros(1)
    matrix = torch.stack([torch.cat([cos, -sin, zero]), torch.cat([sin, cos, zero])])
    grid = F.affine_grid(matrix[None], (1, 1, 8, 8), align_corners=False)
    return F.grid_sample(image[None], grid, align_corners=False)[0]


def add_noise(image):
    """Add a little noise (NumPy's generator)."""
    noise = np.random.normal(0.0, 0.05, size=(1, 8, 8)).astype(np.float32)
    return image + torch.from_numpy(noise)


class Net(nn.Module):
    """Two convolutions with BatchNorm, dropout, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classify = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 2 * 2, 10))

    def forward(self, x):
        return self.classify(self.features(x))


class Trainer:
    """Holds everything that training changes, and the loops that change it."""

    def __init__(self, workers, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        data = load_digits()
        train_x, test_x, train_y, test_y = train_test_split(
            data.images, data.target, test_size=0.25, random_state=0, stratify=data.target
        )
        self.train_loader = DataLoader(
            Digits(train_x, train_y, augment=True), batch_size=32, shuffle=True, num_workers=workers
        )
        self.test_loader = DataLoader(Digits(test_x, test_y, augment=False), batch_size=256)
        self.model = Net()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, weight_decay=0.01)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=0.5, patience=1)
        self.epoch = 0
        self.minloss = float("inf")
        self.loss_list = []
        if (self.folder / "last.pt").exists():
            self.load("last.pt")
            print(f"going on after epoch {self.epoch}")

    def save(self, name):
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "epoch": self.epoch,
                "minloss": self.minloss,
                "loss_list": self.loss_list,
            },
            self.folder / name,
        )

    def load(self, name):
        saved = torch.load(self.folder / name, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.epoch = saved["epoch"]
        self.minloss = saved["minloss"]
        self.loss_list = saved["loss_list"]

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for batch in self.train_loader:
            images, labels = batch
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
        return total / len(self.train_loader.dataset)

    @torch.no_grad()
    def test(self):
        self.model.eval()
        total, correct = 0.0, 0
        for images, labels in self.test_loader:
            scores = self.model(images)
            total += F.cross_entropy(scores, labels, reduction="sum").item()
            correct += (scores.argmax(1) == labels).sum().item()
        count = len(self.test_loader.dataset)
        return total / count, correct / count

    def fit(self, epochs):
        for epoch in range(self.epoch, epochs):
            self.epoch = epoch + 1
            train_loss = self.train_epoch()
            test_loss, accuracy = self.test()
            self.scheduler.step(test_loss)
            self.loss_list.append((train_loss, test_loss))
            mark = ""
            if test_loss < self.minloss:
                self.minloss = test_loss
                self.save("best.pt")
                mark = "  best so far"
            rate = self.optimizer.param_groups[0]["lr"]
            print(
                f"epoch {self.epoch:2d}: train loss {train_loss:.6f}, test loss {test_loss:.6f}, "
                f"accuracy {accuracy:.2%}, lr {rate:g}{mark}",
                flush=True,
            )
            self.save("last.pt")

    def digest(self):
        """SHA-256 of all that was trained: equal digests mean equal bits."""
        sha = hashlib.sha256()
        feed(sha, self.model.state_dict())
        feed(sha, self.optimizer.state_dict())
        feed(sha, self.scheduler.state_dict())
        feed(sha, self.loss_list)
        return sha.hexdigest()


def feed(sha, value):
    """Add a value to a hash: tensors by their bytes, the rest by its exact text."""
    if isinstance(value, torch.Tensor):
        sha.update(f"{value.dtype}{tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key, item in value.items():
            sha.update(repr(key).encode())
            feed(sha, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            feed(sha, item)
    else:
        sha.update(repr(value).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default="digits-checkpoints", help="where last.pt and best.pt are kept")
    args = parser.parse_args()

    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)

    trainer = Trainer(args.workers, args.folder)
    trainer.fit(args.epochs)
    digest = trainer.digest()
    trainer.load("best.pt")
    test_loss, accuracy = trainer.test()
    print(f"best model: test loss {test_loss:.6f}, accuracy {accuracy:.2%}")
    print(f"digest {digest}")


if __name__ == "__main__":
    main()
