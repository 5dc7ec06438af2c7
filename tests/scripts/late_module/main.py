"""A module of the user's own that is first imported in the midst of training, and keeps state."""

import torch
from torch import nn

torch.manual_seed(3)


def train(epochs):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    kept = []
    for epoch in range(epochs):
        for _ in range(4):
            loss = model(torch.randn(8, 4)).square().mean()
            if epoch:
                from meters import total  # as functions that are called late do

                kept.append(total.Meter(loss.item()))
                total.add(loss.item())
                loss = loss * (1 + 0.01 * total.count + 0.1 * total.TOTALS["loss"] + kept[-1].seen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item(), sum(meter.value for meter in kept))


train(4)
