"""Successive halving: trials with state of their own, trained a little in each round, half of them dropped."""
import random

import torch
from torch import nn


class Trial:
    made = 0

    def __init__(self, lr, width):
        Trial.made += 1
        self.name = f"trial{Trial.made}"
        self.config = {"lr": lr, "width": width}
        self.model = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        self.curve = []

    def train(self, steps):
        for _ in range(steps):
            x = torch.rand(8, 2) * 2 - 1
            loss = nn.functional.mse_loss(self.model(x), (x[:, :1] * x[:, 1:]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.curve.append(loss.item())
        return sum(self.curve[-steps:]) / steps


def halve(trials, budget, depth=0):
    scores = {}
    for trial in trials:
        scores[trial.name] = trial.train(budget)
        print("  " * depth + trial.name, trial.config, repr(scores[trial.name]))
    if len(trials) == 1:
        return trials[0]
    keep = sorted(trials, key=lambda t: scores[t.name])[: len(trials) // 2]
    mutant = Trial(keep[0].config["lr"] * random.choice([0.5, 2.0]), keep[0].config["width"])
    if depth == 0:
        keep[-1] = mutant
    return halve(keep, budget * 2, depth + 1)


random.seed(15)
torch.manual_seed(15)
winner = halve([Trial(10 ** random.uniform(-2, -0.5), random.choice([4, 8])) for _ in range(4)], 3)
print(winner.name, winner.config, len(winner.curve), sum(winner.curve), Trial.made)
