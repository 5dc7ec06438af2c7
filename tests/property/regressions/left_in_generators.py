# generators that train: closed in the midst, ended by return, left by an exception of theirs and of their caller's
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())
    return loss.item()
log = []
def steps(n):
    try:
        for i in range(n):
            for j in range(2):
                train(i + j)
            yield i
            if i == 3:
                return
    finally:
        log.append("closed")
def failing(n):
    for i in range(n):
        train(i)
        yield i
        if i == 1:
            raise KeyError(i)
def retried():
    n = 0
    while n < 3:
        n += 1
        try:
            for i in range(3):
                train(i)
                if i == n:
                    raise RuntimeError(n)
                yield i
        except RuntimeError:
            log.append(n)
            continue
for i in steps(5):
    event(i)
    if i == 1:
        break
event(log)
for i in steps(9):
    event(i)
for x in range(3):
    try:
        for i in failing(4):
            event(i)
            train(i)
    except KeyError as error:
        event("key", error.args)
    for y in range(2):
        train(y)
for i in retried():
    event(i)
    train(i)
held = steps(4)
event(next(held))
for x in range(2):
    train(x)
held.close()
for x in range(2):
    train(x)
event(log)
