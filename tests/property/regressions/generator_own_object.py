# an object that only a generator holds is changed by putting the generator back
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

class Keeper:
    def __init__(self, n):
        self.n = n
    def bump(self):
        self.n += 1
        return self.n
def items():
    keeper, seen = Keeper(5), []
    for n in range(3):
        seen.append(n)
        yield keeper.bump() + len(seen)
for x in items():
    for y in range(3):
        train(x + y)
