# slices that are held
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

part = slice(0, 2)
for n in range(4):
    train(sum(range(9)[part]))
    part = slice(n, 2 * n + 1)
