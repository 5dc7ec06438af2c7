"""Layers are added and thawed in the middle of training; the optimizer is made again, its schedule goes on."""
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList([nn.Linear(width, width)])
        self.out = nn.Linear(width, 1)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.register_buffer("mean", torch.zeros(width))

    def grow(self):
        layer = nn.Linear(self.width, self.width)
        nn.init.eye_(layer.weight)
        self.layers.append(layer)
        return layer

    def forward(self, x):
        if self.training:
            self.seen += len(x)
            self.mean.lerp_(x.mean(0), 0.1)
        for layer in self.layers:
            x = torch.tanh(layer(x - self.mean))
        return self.out(x)


torch.manual_seed(9)
gen = torch.Generator().manual_seed(10)
true = torch.randn(6, 1, generator=gen)
model = Stack(6)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
added_at = []
for step in range(24):
    x = torch.randn(12, 6, generator=gen)
    loss = (model(x) - torch.tanh(x @ true)).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step in (7, 15):
        layer = model.grow()
        added_at.append(step)
        if step == 7:
            opt.add_param_group({"params": list(layer.parameters()), "lr": 0.02})
        else:
            opt = torch.optim.Adam(model.parameters(), lr=0.01)
    if step % 4 == 3:
        print(step, repr(loss.item()), len(model.layers), int(model.seen), type(opt).__name__, len(opt.param_groups))
print(added_at, sum(p.numel() for p in model.parameters()), [repr(float(l.weight.sum())) for l in model.layers])
