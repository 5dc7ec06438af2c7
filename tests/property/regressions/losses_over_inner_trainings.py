# a sum of losses is open while a loop of a called function trains on its own
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

def inner(a):
    for x in range(1, 6, 2):
        train(a)
def outer():
    total = 0
    for k in range(8):
        inner(k)
        total = total + ((w - k) ** 2).mean()
        if k % 4 == 3:
            total.backward()
            total = 0
            event("total", w.grad)
outer()
