"""Parametrizations that come and go while training: a module gets another class each time."""

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

torch.manual_seed(3)


class Halves(nn.Module):
    def forward(self, weight):
        return weight / 2


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = parametrizations.weight_norm(nn.Linear(8, 8))
        self.last = nn.Linear(8, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


net = Net()
alias = net.first
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for epoch in range(3):
    if epoch == 1:
        parametrizations.spectral_norm(net.first)
        parametrize.register_parametrization(net.last, "bias", Halves())
        parametrize.register_parametrization(net.last, "weight", Halves())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.8)
    if epoch == 2:
        parametrize.remove_parametrizations(net.second, "weight")
        parametrize.remove_parametrizations(net.last, "bias", leave_parametrized=True)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(5):
        loss = net(torch.randn(6, 4)).square().mean() + alias.weight.square().sum() / 100
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item(), sorted(name for name, _ in net.named_parameters()))
