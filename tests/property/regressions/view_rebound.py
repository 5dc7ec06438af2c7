# a name that was a view of another tensor gets a tensor of its own
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import numpy as np
a = torch.rand(3)
b = a[:]
c = torch.zeros(3)
d = c.data
e = np.zeros(3)
f = e[:]
for n in range(3):
    b = torch.cat([b[1:], torch.rand(1)])
    d = c.clone() + n
    f = e + n
    train(n)
event("end", a, b, c, d, e, f)
a += 1
c += 1
e += 1
event("end", a, b, c, d, e, f)
