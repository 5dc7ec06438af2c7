"""A Trainer object that owns everything, with early stopping and the best weights loaded at the end."""
import copy
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


@dataclass
class Config:
    epochs: int = 8
    patience: int = 1
    lr: float = 0.05


@dataclass
class Stopper:
    patience: int
    best: float = float("inf")
    bad: int = 0
    weights: dict = field(default_factory=dict)

    def step(self, value, model):
        if value < self.best:
            self.best, self.bad = value, 0
            self.weights = copy.deepcopy(model.state_dict())
            return False
        self.bad += 1
        return self.bad > self.patience


class Meter:
    def __init__(self):
        self.reset()

    def reset(self):
        self.sum = self.count = 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / self.count


class Trainer:
    def __init__(self, cfg):
        self.cfg = cfg
        g = torch.Generator().manual_seed(3)
        x = torch.randn(80, 5, generator=g)
        y = (x @ torch.randn(5, 1, generator=g)) + 0.3 * torch.randn(80, 1, generator=g)
        train, val = random_split(TensorDataset(x, y), [48, 32])
        self.train_loader = DataLoader(train, batch_size=8, shuffle=True)
        self.val_loader = DataLoader(val, batch_size=8)
        self.model = nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Dropout(0.3), nn.Linear(12, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=cfg.lr, momentum=0.9, nesterov=True)
        self.stopper = Stopper(cfg.patience)
        self.global_step = 0
        self.log = []

    def fit(self):
        for self.epoch in range(self.cfg.epochs):
            train_loss = self._train_epoch()
            val_loss = self._validate()
            self.log.append({"epoch": self.epoch, "train": train_loss, "val": val_loss})
            print(self.log[-1])
            if self.stopper.step(val_loss, self.model):
                print("early stop at", self.epoch, "step", self.global_step)
                break
        else:
            print("ran through")
        self.model.load_state_dict(self.stopper.weights)
        print("final", self._validate(), "best", self.stopper.best)

    def _train_epoch(self):
        self.model.train()
        meter = Meter()
        for batch in self.train_loader:
            meter.update(self._step(batch), len(batch[0]))
        return meter.avg

    def _step(self, batch):
        x, y = batch
        loss = nn.functional.mse_loss(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.global_step += 1
        return loss.item()

    @torch.no_grad()
    def _validate(self):
        self.model.eval()
        meter = Meter()
        for x, y in self.val_loader:
            meter.update(nn.functional.mse_loss(self.model(x), y).item(), len(x))
        return meter.avg


if __name__ == "__main__":
    torch.manual_seed(42)
    Trainer(Config()).fit()
