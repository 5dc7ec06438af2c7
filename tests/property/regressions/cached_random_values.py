# open: what functools.lru_cache keeps is lost
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import functools, random
@functools.lru_cache(maxsize=None)
def noise(n):
    return random.random()
for n in range(6):
    train(noise(n % 3))
