"""Trains small things with many kinds of optimizers and schedulers, and saves their state dicts as a user would.

python everything.py FILE [EPOCHS]
"""

import copy
import sys

import torch
from torch import nn
from torch.optim import lr_scheduler as schedulers


class Net(nn.Module):
    """Weights that are tied, of several dtypes, and buffers of both kinds."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh())
        self.embed = nn.Linear(6, 4, bias=False)
        self.out = nn.Linear(6, 4, bias=False)
        self.out.weight = self.embed.weight
        self.coarse = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.register_parameter("absent", None)

    def forward(self, x):
        self.seen += len(x)
        h = self.body(x)
        return self.out(h) + self.embed(h) * self.coarse.float()


class Warmup:
    """A schedule with a state of its own."""

    def __init__(self, steps):
        self.steps, self.calls = steps, 0

    def __call__(self, step):
        self.calls += 1
        return min(1.0, (step + 1) / self.steps)


class Trainer:
    def __init__(self):
        self.model = Net()
        self.ema = torch.optim.swa_utils.AveragedModel(self.model)
        groups = [
            {"params": [p for p in self.model.parameters() if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in self.model.parameters() if p.ndim <= 1], "lr": 0.02},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.01, amsgrad=True)
        self.scheduler = schedulers.SequentialLR(
            self.optimizer,
            [schedulers.LinearLR(self.optimizer, total_iters=3), schedulers.CosineAnnealingLR(self.optimizer, 9)],
            milestones=[3],
        )
        self.best = None


def pair(make_optimizer, make_scheduler):
    net = nn.Linear(4, 4)
    optimizer = make_optimizer(net.parameters())
    return {"net": net, "optimizer": optimizer, "scheduler": make_scheduler(optimizer)}


def fit(trainer, pairs, scaler, free, x, y, epochs):
    loose = torch.optim.SGD([free], lr=0.1, momentum=0.9, nesterov=True)
    for epoch in range(epochs):
        for i in range(0, len(x), 8):
            loss = (trainer.model(x[i : i + 8]) * free - y[i : i + 8]).square().mean()
            trainer.optimizer.zero_grad()
            loose.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(trainer.optimizer)
            scaler.update()
            loose.step()
            for one in pairs.values():
                error = (one["net"](x[i : i + 8]) - y[i : i + 8]).square().mean()
                one["optimizer"].zero_grad()
                error.backward()
                one["optimizer"].step()
        for one in pairs.values():
            plateau = isinstance(one["scheduler"], schedulers.ReduceLROnPlateau)
            one["scheduler"].step(error.item()) if plateau else one["scheduler"].step()
        trainer.scheduler.step()
        trainer.ema.update_parameters(trainer.model)
        if epoch == epochs // 2:
            trainer.best = copy.deepcopy(trainer.model.state_dict())
    return {
        "trainer.model": trainer.model.state_dict(),
        "trainer.ema": trainer.ema.state_dict(),
        "trainer.optimizer": trainer.optimizer.state_dict(),
        "trainer.scheduler": trainer.scheduler.state_dict(),
        "trainer.best": trainer.best,
        "scaler": scaler.state_dict(),
        "free": free.detach(),
        "loose": loose.state_dict(),
        **{f"pairs[{name!r}][{key!r}]": one[key].state_dict() for name, one in pairs.items() for key in one},
    }


def main(path, epochs):
    torch.manual_seed(0)
    x = torch.randn(32, 4)
    y = x.flip(1)
    optim = torch.optim
    pairs = {
        "sgd": pair(lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda o: schedulers.StepLR(o, 2)),
        "rms": pair(lambda p: optim.RMSprop(p, 0.01), lambda o: schedulers.ReduceLROnPlateau(o, patience=1)),
        "lam": pair(lambda p: optim.Adagrad(p, 0.1), lambda o: schedulers.LambdaLR(o, [Warmup(5)])),
        "fun": pair(lambda p: optim.NAdam(p, 0.01), lambda o: schedulers.LambdaLR(o, lambda epoch: 0.9**epoch)),
        "one": pair(lambda p: optim.Adam(p, 0.01), lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=40)),
        "cyc": pair(lambda p: optim.SGD(p, 0.1, momentum=0.5), lambda o: schedulers.CyclicLR(o, 0.01, 0.1)),
        "cos": pair(lambda p: optim.RAdam(p, 0.01), lambda o: schedulers.CosineAnnealingWarmRestarts(o, 3)),
    }
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
    free = torch.ones(4, requires_grad=True)
    trainer = Trainer()
    states = fit(trainer, pairs, scaler, free, x, y, epochs)
    torch.save(states, path)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8)
