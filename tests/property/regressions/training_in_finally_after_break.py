# a loop is trained in by the finally of its break
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

n = 0
while True:
    n += 1
    for x in range(3):
        train(x)
    try:
        if n == 2:
            break
    finally:
        for y in range(2):
            train(y + n)
event(n)
