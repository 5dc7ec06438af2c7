# one lambda taken for another
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

first = lambda: train(1)
second = None
for n in range(4):
    first()
    if second is not None:
        second()
    first = lambda: train(2)
    second = lambda q=n: train(q + 10)
event("end", first(), second())
