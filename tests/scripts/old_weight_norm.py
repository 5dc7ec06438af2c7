"""Weights that hang on a graph from the start: the old weight_norm computes them anew in each forward pass."""

import warnings

import torch
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
model = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.utils.weight_norm(nn.Linear(6, 1)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
x = torch.randn(40, 4)
for epoch in range(2):
    for i in range(0, 40, 4):
        loss = (model(x[i : i + 4]).squeeze(1) - x[i : i + 4].sum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
