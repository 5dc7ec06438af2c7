# iterators over a deque
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import collections, itertools
recent = collections.deque([4, 2, 3], maxlen=5)
for n in range(2):
    for x, _ in zip(recent, range(2)):
        for y in range(2):
            train(x + y)
    recent.append(n)
for x in itertools.islice(recent, 4):
    train(x)
