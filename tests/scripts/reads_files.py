"""Trains on the lines of a file, of two files at once, of a table and of what is left in a file held open."""

import csv
import gzip
import io

import torch
from torch import nn

torch.manual_seed(3)
noise = torch.Generator().manual_seed(5)
for name in ("a.txt", "b.txt"):
    with open(name, "w") as out:
        for i in range(9):
            out.write(",".join(f"{v:.4f}" for v in torch.randn(4, generator=noise).tolist()) + f",z\u00fcrich {i}\n")
with open("c.gz", "wb") as out, open("a.txt", "rb") as source:
    out.write(gzip.compress(source.read(), mtime=0))

model = nn.Linear(4, 4)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
report = io.StringIO()


def train(fields, scale=1.0):
    x = torch.tensor([float(v) for v in fields[:4]])
    loss = ((model(x) - scale * x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    report.write(f"{loss.item():.6f} {fields[4]}\n")
    return loss.item()


for epoch in range(2):
    total = 0.0
    with open("a.txt") as lines:
        for line in lines:
            total += train(line.strip().split(","))
    print(f"epoch {epoch}: {total:.6f}")

for i, (left, right) in enumerate(zip(open("a.txt"), open("b.txt"))):
    train(left.strip().split(","), scale=0.5 + 0.1 * i)
    train(right.strip().split(","))

held = open("b.txt")
held.readline()
seen = 0
while seen < 12:
    line = held.readline()
    if not line:
        held.seek(0)
        continue
    train(line.strip().split(","), scale=2.0)
    seen += 1

for row in csv.reader(open("b.txt")):
    train(row)
for line in gzip.open("c.gz", "rt"):
    train(line.strip().split(","), scale=3.0)

print(report.getvalue().splitlines()[-1], len(report.getvalue()))
print(sum(p.sum().item() for p in model.parameters()))
