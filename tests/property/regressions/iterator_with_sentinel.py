# iter(callable, sentinel)
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

numbers = [3, 2, 1, 0, 5, 0]
for x in iter(numbers.pop, 3):
    train(x)
event(numbers)
