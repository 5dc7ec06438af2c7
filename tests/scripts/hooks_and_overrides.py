"""Forward hooks that collect, a train() that keeps batch norm frozen, activation checkpointing, an autograd function."""
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return torch.round(x * scale) / scale

    @staticmethod
    def backward(ctx, g):
        return g.clamp(-1, 1), None


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8))
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8))
        self.head = nn.Linear(8, 2)
        self.register_buffer("scale", torch.tensor(4.0))
        self.calls = 0

    def train(self, mode=True):
        super().train(mode)
        self.stem[1].eval()
        for p in self.stem[1].parameters():
            p.requires_grad = False
        return self

    def forward(self, x):
        self.calls += 1
        h = Round.apply(self.stem(x), self.scale.item())
        h = h + checkpoint(self.body, h, use_reentrant=False)
        return self.head(h)


torch.manual_seed(26)
model = Frozen()
activation = {}
norms = []
grad_sums = torch.zeros(2)


def get_activation(name):
    def hook(module, inputs, output):
        activation[name] = output.detach()

    return hook


def on_grad(grad):
    grad_sums.add_(grad.sum(0) if grad.dim() == 2 else grad)
    return grad * 0.9


handles = [m.register_forward_hook(get_activation(n)) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
model.head.bias.register_hook(on_grad)
decay, plain = [], []
for name, p in model.named_parameters():
    (plain if name.endswith("bias") else decay).append(p)
opt = torch.optim.SGD([{"params": plain}, {"params": decay, "weight_decay": 0.01}], lr=0.1)
for epoch in range(3):
    model.train()
    for i in range(6):
        x = torch.randn(9, 5)
        y = (x[:, 0] > 0).long()
        loss = nn.functional.cross_entropy(model(x), y)
        loss = loss + 1e-3 * sum(a.norm() for a in activation.values())
        opt.zero_grad()
        loss.backward()
        opt.step()
        norms.append(activation["head"].norm().item())
    if epoch == 1:
        model.scale.mul_(2)
        handles.pop().remove()
    model.eval()
    with torch.no_grad():
        print(epoch, repr(loss.item()), repr(model(torch.ones(1, 5)).sum().item()), model.calls, len(activation), repr(sum(norms)))
print(grad_sums.tolist(), model.scale.item())
