"""A tiny diffusion model: schedules in plain tensors on the class, EMA by a module copy, samples drawn between epochs."""
import copy
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Diffusion:
    def __init__(self, steps=10):
        self.steps = steps
        self.beta = torch.linspace(1e-3, 0.2, steps)
        self.alpha_hat = torch.cumprod(1 - self.beta, 0)

    def noise(self, x, t):
        a = self.alpha_hat[t].sqrt()[:, None]
        b = (1 - self.alpha_hat[t]).sqrt()[:, None]
        e = torch.randn_like(x)
        return a * x + b * e, e

    @torch.inference_mode()
    def sample(self, model, n):
        model.eval()
        x = torch.randn(n, 2)
        for i in reversed(range(1, self.steps)):
            t = torch.full((n,), i)
            predicted = model(x, t)
            z = torch.randn_like(x) if i > 1 else torch.zeros_like(x)
            a, h, b = 1 - self.beta[i], self.alpha_hat[i], self.beta[i]
            x = 1 / a.sqrt() * (x - (1 - a) / (1 - h).sqrt() * predicted) + b.sqrt() * z
        model.train()
        return x


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.mid, self.out = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x, t):
        t = t[:, None].float() * torch.exp(-math.log(100) * torch.arange(2) / 2)
        x = torch.cat([x, t.sin(), t.cos()], 1)
        return self.out(torch.nn.functional.silu(self.mid(torch.nn.functional.silu(self.inp(x)))))


class EMA:
    def __init__(self, beta):
        self.beta, self.step = beta, 0

    def step_ema(self, ema_model, model, start=5):
        if self.step < start:
            ema_model.load_state_dict(model.state_dict())
        else:
            for old, new in zip(ema_model.parameters(), model.parameters()):
                old.data = old.data * self.beta + (1 - self.beta) * new.data
        self.step += 1


def train():
    torch.manual_seed(16)
    data = torch.randn(40, 2) * 0.1 + torch.tensor([1.0, -1.0])
    loader = DataLoader(TensorDataset(data), batch_size=8, shuffle=True)
    model = UNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    diffusion = Diffusion()
    ema, ema_model = EMA(0.9), copy.deepcopy(model).eval().requires_grad_(False)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for epoch in range(3):
        for i, (images,) in enumerate(loader):
            t = torch.randint(1, diffusion.steps, (len(images),))
            x_t, noise = diffusion.noise(images, t)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=epoch > 0):
                loss = nn.functional.mse_loss(model(x_t, t), noise)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            ema.step_ema(ema_model, model)
        a, b = diffusion.sample(model, 4), diffusion.sample(ema_model, 4)
        print(epoch, repr(loss.item()), repr(a.sum().item()), repr(b.sum().item()), ema.step)
        torch.save(ema_model.state_dict(), "ema.pt")


train()
