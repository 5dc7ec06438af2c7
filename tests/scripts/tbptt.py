"""Losses gathered over several iterations before one backward pass: truncated back-propagation, and an open window."""
import torch
import torch.nn as nn

torch.manual_seed(71)
series = torch.sin(torch.arange(0, 60) * 0.3) + 0.1 * torch.randn(60)
cell = nn.LSTMCell(1, 6)
head = nn.Linear(6, 1)
opt = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=0.02)
K = 4

for epoch in range(2):
    h = c = torch.zeros(1, 6)
    losses = []
    total = 0.0
    for t in range(24):
        h, c = cell(series[t].view(1, 1), (h, c))
        losses.append((head(h).squeeze() - series[t + 1]) ** 2)
        if (t + 1) % K == 0:
            loss = torch.stack(losses).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item()
            losses = []
            h, c = h.detach(), c.detach()
    print("epoch", epoch, repr(total))

# a running loss over the parts of a batch, one backward pass for all
linear = nn.Linear(4, 1)
opt = torch.optim.SGD(linear.parameters(), lr=0.05)
for step in range(6):
    running = 0
    for part in range(3):
        x = torch.randn(5, 4)
        running = running + (linear(x) - x.sum(1, keepdim=True)).pow(2).mean()
    opt.zero_grad()
    running.backward()
    opt.step()
    print("parts", step, repr(running.item()))
