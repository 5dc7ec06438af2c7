"""Adversarial training: a PGD loop with its own backward passes inside the batch loop, a perturbation that persists."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(44)
x = torch.randn(32, 5)
y = (x[:, 0] + x[:, 1] > 0).long()
loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Dropout(0.1), nn.Linear(10, 2))
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
delta = torch.zeros(8, 5, requires_grad=True)


def pgd(model, images, labels, eps=0.3, alpha=0.1, iters=3):
    ori = images.data
    images = images + torch.empty_like(images).uniform_(-eps, eps)
    for i in range(iters):
        images.requires_grad = True
        model.zero_grad()
        cost = F.cross_entropy(model(images), labels)
        cost.backward()
        adv = images + alpha * images.grad.sign()
        images = (ori + torch.clamp(adv - ori, -eps, eps)).detach_()
    return images


for epoch in range(2):
    robust = 0
    for xb, yb in loader:
        adv = pgd(model, xb, yb)
        opt.zero_grad()
        out = model(adv)
        loss = F.cross_entropy(out, yb)
        loss.backward()
        opt.step()
        robust += (out.argmax(1) == yb).sum().item()
    print("pgd", epoch, repr(loss.item()), robust)

for epoch in range(2):
    for xb, yb in loader:
        for replay in range(2):
            loss = F.cross_entropy(model(xb + delta[: len(xb)]), yb)
            opt.zero_grad()
            loss.backward()
            g = delta.grad.detach()
            delta.data = (delta + 0.1 * g.sign()).clamp(-0.3, 0.3).data
            delta.grad.zero_()
            opt.step()
    print("free", epoch, repr(loss.item()), repr(delta.abs().sum().item()))
