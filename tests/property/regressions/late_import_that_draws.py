# a module that training imports late, which draws random numbers when it is imported, once
import importlib.abc
import importlib.util
import random
import sys
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name in ("drawn_late", "drawn_later") else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        module.start = random.random()
        torch.rand(1)

sys.meta_path.append(Finder())
for epoch in range(3):
    for n in range(3):
        if (epoch, n) == (0, 1):
            import drawn_late
        if epoch == 1:
            import drawn_later
        train(random.random() + torch.rand(1).item())
    import drawn_late
