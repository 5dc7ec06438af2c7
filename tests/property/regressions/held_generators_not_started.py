# a generator expression that is held and not started
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

for n in range(3):
    held = (q * 2 for q in range(3))
    for m in range(2):
        train(m)
    event(list(held))
