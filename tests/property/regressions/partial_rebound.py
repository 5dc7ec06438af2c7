# another partial under the same name
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

import functools
call = functools.partial(train, 2)
calls = [call, functools.partial(train, x=7)]
for n in range(4):
    call()
    calls[n % 2]()
    call = functools.partial(train, n)
    calls[n % 2] = functools.partial(call)
event("end", call(), [c() for c in calls])
