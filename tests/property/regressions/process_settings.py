# settings of the process, thread locals and context variables that training changes
import contextvars
import threading

import numpy as np
import torch

w = torch.tensor([0.5, -0.25], requires_grad=True)
local = threading.local()
local.seen = 0
scale = contextvars.ContextVar("scale", default=1.0)


def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())


for n in range(7):
    local.seen += n
    local.last = [n]
    scale.set(scale.get() * 0.5 + n)
    if n == 3:
        torch.set_default_dtype(torch.float64)
        np.seterr(over="ignore", divide="raise")
    made = torch.rand(1)
    train(local.seen * 0.1 + scale.get() + float(made))
    event("settings", str(made.dtype), np.geterr()["divide"], local.last)
