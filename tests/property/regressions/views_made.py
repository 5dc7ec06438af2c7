# views that are made in training stay views
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import numpy as np
a = torch.zeros(4)
b = torch.zeros(2)
e = np.zeros(4)
f = np.zeros(2)
for n in range(3):
    a += n
    b = a[n % 2 : n % 2 + 2]
    e = e + n
    f = e[1:3]
    g = torch.from_numpy(e)
    train(n)
b += 5
f += 5
event("end", a, b, e, f)
