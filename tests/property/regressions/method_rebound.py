# the same method of another object
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

class Meter:
    def __init__(self, n):
        self.n = n
    def note(self):
        self.n += 1
        train(self.n)
a, b = Meter(1), Meter(10)
hook = a.note
for n in range(4):
    hook()
    hook = [b.note, a.note, Meter(50).note][n % 3]
event("end", hook(), a, b)
