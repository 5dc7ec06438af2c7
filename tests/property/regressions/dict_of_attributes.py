# a dict whose items are its attributes, made while training
import torch

w = torch.tensor([0.5, -0.25], requires_grad=True)


class Bag(dict):
    def __init__(self, **items):
        super().__init__(**items)
        self.__dict__ = self


bag = None
for n in range(8):
    if n % 4 == 1:
        bag = Bag(loss=0.0, steps=[])
    loss = ((w * (n + 1) - 0.5) ** 2).sum()
    loss.backward()
    if bag is not None:
        bag.loss += loss.item()
        bag["steps"] = [*bag.steps, n]
        event("train", n, bag["loss"], len(bag.steps))
