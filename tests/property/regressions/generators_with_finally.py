# what a generator's finally does when its loop is left counts before the way to the next loop is gone
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())
log = []
def numbers(n, name):
    try:
        for i in range(n):
            yield i
    finally:
        log.append(name)
for i, _ in zip(numbers(4, "break"), range(9)):
    train(i)
    if i == 1:
        break
if "break" in log:
    for i in range(2):
        train(i + 2)
try:
    for i in numbers(4, "raise"):
        train(i)
        if i == 1:
            raise ValueError
except ValueError:
    pass
if "raise" in log:
    for i in range(2):
        train(i + 2)
def first(n):
    for i in numbers(n, "return"):
        for j in numbers(3, "inner"):
            train(i)
            if i == 1 and j == 1:
                return i
event(first(4))
if log.count("return") == 1 and log.count("inner") == 2:
    for i in range(2):
        train(i + 3)
def ended():
    for i in numbers(2, "end"):
        train(i)
    return log.count("end")
for i in range(1 + ended()):
    train(i)
event(log)
