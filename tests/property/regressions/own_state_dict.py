# a class that holds what can't be carried, and offers its state instead
import _thread
import random
import zlib

import torch

w = torch.tensor([0.5, -0.25], requires_grad=True)


class Simulator:
    def __init__(self):
        self.lock = _thread.allocate_lock()
        self.packer = zlib.compressobj()  # can't be looked into
        self.fed = []
        self.at = [0.0]

    def step(self):
        part = random.randbytes(3)
        self.fed.append(part)
        self.packer.compress(part)
        self.at[0] += part[0]
        return (self.at[0] + len(self.packer.copy().flush())) / 1000

    def state_dict(self):
        return {"fed": list(self.fed)}

    def load_state_dict(self, state):
        self.packer = zlib.compressobj()
        for part in state["fed"]:
            self.packer.compress(part)


simulator = Simulator()
alias = simulator.at
for n in range(6):
    x = simulator.step()
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", n, x, loss.item(), alias[0])
