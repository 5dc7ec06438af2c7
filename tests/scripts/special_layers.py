"""Spectral norm, weight norm (old and new), a parametrization of our own, lazy modules, tied weights, pruning masks."""
import torch
import torch.nn as nn
import torch.nn.utils.parametrize as parametrize
from torch.nn.utils import parametrizations, prune, spectral_norm


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = parametrizations.spectral_norm(nn.Linear(6, 6))
        self.b = parametrizations.weight_norm(nn.Linear(6, 6))
        self.c = spectral_norm(nn.Linear(6, 6))
        self.d = nn.Linear(6, 6)
        parametrize.register_parametrization(self.d, "weight", Symmetric())
        self.norm = nn.LazyBatchNorm1d()
        self.e = nn.LazyLinear(6, bias=False)
        self.out = nn.Linear(6, 6, bias=False)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x))))
        return self.out(self.norm(self.e(torch.tanh(self.d(self.c(x))))))


torch.manual_seed(19)
net = Net()
net(torch.randn(4, 6))
net.out.weight = net.e.weight
opt = torch.optim.Adamax(net.parameters(), lr=0.02)
for epoch in range(3):
    net.train()
    for batch in range(7):
        x = torch.randn(10, 6)
        loss = (net(x) - x.flip(1)).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch == 1:
        prune.l1_unstructured(net.b, "bias", amount=2)
    net.eval()
    with torch.no_grad():
        print(epoch, repr(loss.item()), repr(net(torch.ones(2, 6)).sum().item()), net.out.weight is net.e.weight)
torch.save(net.state_dict(), "net.pt")
print(sorted(net.state_dict())[:4], [n for n, _ in net.named_buffers()])
