# random branches on the way to the loop that a generator trains in
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import random
def items():
    for n in range(2):
        yield n
    n = 0
    while n < 4:
        n += 1
        if random.random() < 0.5:
            continue
        todo = list(range(3))
        while todo:
            train(todo.pop(0))
        yield n
for k in range(3):
    for x in items():
        train(x)
