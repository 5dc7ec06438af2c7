# training loops that exceptions leave, caught in the function, in its caller, in the loop around it, by a with
import contextlib
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    with torch.no_grad():
        w.sub_(w.grad * 0.01)
    event("train", x, loss.item())
    return loss.item()

class Early(Exception):
    def __init__(self, best, *, epoch):
        super().__init__(f"stopped at {epoch}")
        self.best, self.epoch = best, epoch

log = []
def items(n):
    while n:
        n -= 1
        yield n
def fit(epochs):
    best = float("inf")
    for epoch in range(epochs):
        for i in range(3):
            best = min(best, train(i + epoch))
            if epoch == 1 and i == 1:
                log.append("raising")
                raise Early(best, epoch=epoch)
    return best

it = items(3)
try:
    while True:
        train(next(it))
except StopIteration:
    event("exhausted", log)
for x in range(2):
    train(x)
try:
    fit(3)
except Early as early:
    event("early", str(early), early.best, early.epoch, log)
    for x in range(3):
        train(x + early.epoch)
    event("cause", early.__context__ is None)
finally:
    event("finally", log)
    for x in range(2):
        train(x + 5)
for x in range(2):
    try:
        for y in range(3):
            train(y)
            if y == 1 + x:
                raise RuntimeError("out of memory", x)
    except RuntimeError as error:
        event("memory", error.args)
        for y in range(2):
            train(y + 7)
        continue
    event("never")
with contextlib.suppress(KeyError):
    for x in range(3):
        train(x)
        {}[x]
for x in range(2):
    train(x)
try:
    try:
        for x in range(2):
            train(x)
            1 / 0
    except ZeroDivisionError as zero:
        for x in range(2):
            train(x)
        raise ValueError("changed") from zero
except ValueError as error:
    for x in range(2):
        train(x)
    event(str(error), repr(error.__cause__), repr(error.__context__))
    while True:  # ends by break within a handler
        train(3)
        if log:
            break
    while len(log) < 4:
        log.append(train(4))
    for x in range(2):
        train(x)
try:
    for x in range(2):
        train(x)
        raise SystemExit(3)
except SystemExit as end:
    event("exit", end.code)
kept = []
for x in range(3):
    try:
        for y in range(2):
            train(y)
            if x:
                raise IndexError(x)
    except IndexError as error:
        kept.append(error)
    event([str(each) for each in kept])
    for y in range(2):
        train(y + x)
event("end", log)
