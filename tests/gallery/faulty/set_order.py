"""A vocabulary is numbered in the order of a set of strings."""

import torch
from torch import nn

torch.manual_seed(0)
words = "the quick brown fox jumps over a lazy dog and many more words of no meaning".split()
vocabulary = {word: i for i, word in enumerate(set(words))}
weights = torch.tensor([[float(vocabulary[word])] for word in words * 2][:24]) / 20

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x) * weights, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
