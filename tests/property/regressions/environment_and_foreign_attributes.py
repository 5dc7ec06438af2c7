# os.environ and attributes of installed modules, classes and objects of theirs change while it trains
import os
import decimal
import fractions as parts
import torch
import torch.backends.cuda
import torch.utils.data as data
from torch import nn
from torch.optim.lr_scheduler import StepLR
w = torch.tensor([0.5, -0.25], requires_grad=True)
os.environ["SET_UP"] = "1"
os.environ["GONE"] = "there"
parts.seen = []
data.scale = torch.ones(2)
nn.Linear.made = 0
StepLR.kind = "none"
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, os.environ.get("PHASE"), os.environ.get("SET_UP"), os.environ.get("GONE"))
    event(parts.seen, data.scale, nn.Linear.made, StepLR.kind, getattr(decimal, "rate", None))
    event(torch.backends.cuda.matmul.allow_tf32, torch.utils.data.scale is data.scale, data.scale is held)
held = data.scale
for epoch in range(3):
    os.environ["PHASE"] = str(epoch)
    if epoch == 1:
        del os.environ["GONE"]
        os.environ["SET_UP"] = "changed"
    if epoch == 2:
        os.environ["GONE"] = "there"
        os.environ["SET_UP"] = "1"
    StepLR.kind = f"epoch {epoch}"
    torch.backends.cuda.matmul.allow_tf32 = bool(epoch % 2)
    for i in range(3):
        import decimal as numbers
        parts.seen.append(i)
        data.scale.mul_(1.5)
        nn.Linear.made += 1
        setattr(numbers, "rate", 0.1 / (epoch + 1))
        os.environ["STEP"] = os.environ.get("STEP", "") + str(i)
        train(i)
        event(os.environ["STEP"])
for i in range(3):
    os.environ.pop("STEP", None)
    data.scale = data.scale * 2
    train(i)
    event(os.environ.get("STEP"))
