"""Optimizers of one's own: a subclass with state, SAM with two steps, Lookahead round another, a plain class."""
import math

import torch
from torch import nn
from torch.optim import Optimizer


class Lion(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99)):
        super().__init__(params, dict(lr=lr, betas=betas))
        self.calls = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.calls += 1
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                    state["step"] = 0
                state["step"] += 1
                m, (b1, b2) = state["exp_avg"], group["betas"]
                p.add_((m * b1 + p.grad * (1 - b1)).sign_(), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


class SAM(Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self):
        norm = torch.norm(torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]))
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad, alpha=group["rho"] / (norm.item() + 1e-12))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        self.zero_grad()


class Lookahead:
    def __init__(self, optimizer, k=3, alpha=0.5):
        self.optimizer, self.k, self.alpha, self.step_counter = optimizer, k, alpha, 0
        self.slow_weights = [[p.clone().detach() for p in g["params"]] for g in optimizer.param_groups]

    def step(self):
        self.optimizer.step()
        self.step_counter += 1
        if self.step_counter % self.k:
            return
        for group, slow_weights in zip(self.optimizer.param_groups, self.slow_weights):
            for p, q in zip(group["params"], slow_weights):
                q.data.add_(p.data - q.data, alpha=self.alpha)
                p.data.copy_(q.data)


class Adafactor:
    """No Optimizer at all."""

    def __init__(self, params, lr):
        self.params, self.lr, self.t = list(params), lr, 0
        self.v = {id(p): torch.zeros_like(p) for p in self.params}

    def step(self):
        self.t += 1
        beta = 1 - math.pow(self.t, -0.8)
        for p in self.params:
            v = self.v[id(p)]
            v.mul_(beta).addcmul_(p.grad, p.grad, value=1 - beta)
            p.data.addcdiv_(p.grad, v.sqrt().add_(1e-8), value=-self.lr)
            p.grad = None


torch.manual_seed(90)
X = torch.randn(30, 4)
Y = X.sin().sum(1, keepdim=True)


def loss_of(model):
    index = torch.randint(0, 30, (10,))
    return nn.functional.mse_loss(model(X[index]), Y[index])


def new():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


model, lion = new(), None
lion = Lion(model.parameters(), lr=0.01)
for i in range(8):
    loss = loss_of(model)
    lion.zero_grad()
    loss.backward()
    lion.step()
print("lion", repr(loss.item()), lion.calls)

model = new()
sam = SAM(model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
for i in range(6):
    loss = loss_of(model)
    loss.backward()
    sam.first_step()
    loss_of(model).backward()
    sam.second_step()
print("sam", repr(loss.item()))

model = new()
ahead = Lookahead(torch.optim.Adam(model.parameters(), lr=0.02))
for i in range(8):
    loss = loss_of(model)
    ahead.optimizer.zero_grad()
    loss.backward()
    ahead.step()
print("lookahead", repr(loss.item()), ahead.step_counter)

factor = Adafactor(model.parameters(), 0.01)
for i in range(8):
    loss = loss_of(model)
    loss.backward()
    factor.step()
print("plain class", repr(loss.item()), factor.t, [repr(v.sum().item()) for v in factor.v.values()])
