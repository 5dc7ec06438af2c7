"""Epochs by trange, batches by tqdm with a postfix, a bar opened by hand between the two loops."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm, trange

torch.manual_seed(17)
x = torch.rand(60, 4)
y = (x.prod(1, keepdim=True) * 10).sqrt()
train = DataLoader(TensorDataset(x[:48], y[:48]), batch_size=8, shuffle=True)
valid = DataLoader(TensorDataset(x[48:], y[48:]), batch_size=4)
net = nn.Sequential(nn.Linear(4, 10), nn.SiLU(), nn.Dropout(0.1), nn.Linear(10, 1))
opt = torch.optim.NAdam(net.parameters(), lr=0.01)

pbar = trange(2, desc="warm-up")
for epoch in pbar:
    bar = tqdm(train, leave=False)
    total = 0.0
    for xb, yb in bar:
        loss = nn.functional.l1_loss(net(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
        bar.set_postfix(loss=loss.item())
    pbar.set_description(f"loss {total:.3f}")
    print("warm-up", epoch, repr(total))

for epoch in tqdm(range(2)):
    with tqdm(total=len(train), unit="batch") as progress:
        for step, (xb, yb) in enumerate(train):
            progress.set_description(f"epoch {epoch}")
            loss = nn.functional.mse_loss(net(xb), yb)
            opt.zero_grad(set_to_none=False)
            loss.backward()
            opt.step()
            progress.update(1)
        net.eval()
        with torch.no_grad():
            score = sum(nn.functional.mse_loss(net(a), b, reduction="sum").item() for a, b in tqdm(valid))
        net.train()
    print("main", epoch, "steps", step + 1, "counted", progress.n, "score", repr(score))
