"""An iterator that is kept across epochs, the next batch already drawn, a generator that looks ahead, iter(val) inside."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(50)
x = torch.randn(40, 3)
y = x.norm(dim=1, keepdim=True)
train_loader = DataLoader(TensorDataset(x[:30], y[:30]), batch_size=4, shuffle=True)
val_loader = DataLoader(TensorDataset(x[30:], y[30:]), batch_size=5, shuffle=True)


class Prefetcher:
    """Holds the next batch, as GPU prefetchers do."""

    def __init__(self, loader):
        self.loader = iter(loader)
        self.preload()

    def preload(self):
        try:
            self.next_input, self.next_target = next(self.loader)
        except StopIteration:
            self.next_input = self.next_target = None

    def next(self):
        batch = self.next_input, self.next_target
        if batch[0] is not None:
            self.preload()
        return batch


def lookahead(iterable):
    """Pass through all values, and say whether there are more to come."""
    it = iter(iterable)
    last = next(it)
    for val in it:
        yield last, True
        last = val
    yield last, False


net = nn.Sequential(nn.Linear(3, 7), nn.Softplus(), nn.Dropout(0.1), nn.Linear(7, 1))
opt = torch.optim.RMSprop(net.parameters(), lr=0.01, momentum=0.5, centered=True)


def fit(xb, yb):
    opt.zero_grad()
    loss = nn.functional.huber_loss(net(xb), yb)
    loss.backward()
    opt.step()
    return loss.item()


kept = iter(train_loader)
for epoch in range(3):
    for step in range(5):
        try:
            xb, yb = next(kept)
        except StopIteration:
            kept = iter(train_loader)
            xb, yb = next(kept)
        value = fit(xb, yb)
        if step == 2:
            vx, vy = next(iter(val_loader))
            with torch.no_grad():
                print("probe", repr(nn.functional.huber_loss(net(vx), vy).item()))
        del xb, yb
    print("kept", epoch, repr(value))

for epoch in range(2):
    prefetcher = Prefetcher(train_loader)
    inp, tgt = prefetcher.next()
    i = 0
    while inp is not None:
        i += 1
        value = fit(inp, tgt)
        inp, tgt = prefetcher.next()
    print("prefetched", epoch, i, repr(value))

for epoch in range(2):
    for (xb, yb), more in lookahead(train_loader):
        value = fit(xb, yb)
        if not more:
            print("last of epoch", epoch, repr(value))
