# generators that delegate
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

def part(n):
    for i in range(n):
        train(i)
        yield i
    yield 99
def whole(n):
    yield from part(n)
    for j in range(2):
        train(50 + j)
        yield j
for x in whole(2):
    event(x)
