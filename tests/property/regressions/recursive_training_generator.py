# a generator that trains and calls itself
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

def tree(depth):
    for i in range(2):
        if depth:
            for v in tree(depth - 1):
                yield v * 2 + i
        else:
            train(i)
            yield i
for v in tree(2):
    event("v", v)
