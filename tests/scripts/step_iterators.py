"""Steps, not epochs: itertools.count, an iterator made again at StopIteration, a cycle() of one's own, islice."""
from itertools import count, islice

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def cycle(iterable):
    while True:
        for item in iterable:
            yield item


def draw(n, shift):
    return TensorDataset(torch.randn(n, 3) + shift, torch.full((n, 1), float(shift > 0)))


torch.manual_seed(8)
source = DataLoader(draw(20, 0.5), batch_size=4, shuffle=True)
target = DataLoader(draw(14, -0.5), batch_size=4, shuffle=True, drop_last=True)
model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
bce = nn.BCEWithLogitsLoss()


def update(*batches):
    optimizer.zero_grad()
    loss = sum(bce(model(x), y) for x, y in batches)
    loss.backward()
    optimizer.step()
    return loss.item()


# phase 1: next() by hand
it = iter(source)
restarts = 0
for step in count():
    if step == 12:
        break
    try:
        batch = next(it)
    except StopIteration:
        it = iter(source)
        restarts += 1
        batch = next(it)
    value = update(batch)
print("phase 1", repr(value), "restarts", restarts)

# phase 2: an endless generator of our own, one batch fetched ahead
stream = cycle(target)
ahead = next(stream)
step = 0
while step < 10:
    batch, ahead = ahead, next(stream)
    value = update(batch)
    step += 1
    if step % 4 == 0:
        print("phase 2", step, repr(value))

# phase 3: two loaders side by side, and a slice of a stream
for epoch in range(2):
    for i, (a, b) in enumerate(zip(source, cycle(target))):
        value = update(a, b)
    print("phase 3", epoch, i, repr(value))
for batch in islice(stream, 5):
    value = update(batch)
print("islice", repr(value))
