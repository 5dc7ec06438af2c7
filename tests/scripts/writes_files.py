"""Files of all kinds: a log that stays open, a table that is appended to, a best model, a summary, a dated folder."""

import csv
import json
import logging
import os
from pathlib import Path

import torch
from torch import nn

torch.manual_seed(11)
out = Path("results")
out.mkdir(exist_ok=True)
logging.basicConfig(filename=out / "train.log", level=logging.INFO, format="%(message)s", filemode="w")
notes = open(out / "notes.txt", "w")
notes.write("begun\n")

model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
data = torch.randn(48, 6)
target = data.prod(1, keepdim=True)
best = float("inf")

with open(out / "metrics.csv", "w", newline="") as file:
    csv.writer(file).writerow(["epoch", "loss"])

table_file = open(out / "table.csv", "w", newline="")
table = csv.DictWriter(table_file, ["epoch", "loss"])
table.writeheader()

for epoch in range(6):
    for i in range(0, 48, 12):
        loss = nn.functional.mse_loss(model(data[i : i + 12]), target[i : i + 12])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logging.info("epoch %d, row %d: %.6f", epoch, i, loss.item())
    with torch.no_grad():
        total = nn.functional.mse_loss(model(data), target).item()
    with open(out / "metrics.csv", "a", newline="") as file:
        csv.writer(file).writerow([epoch, total])
    table.writerow({"epoch": epoch, "loss": total})
    table_file.flush()
    notes.write(f"epoch {epoch}\n")
    notes.flush()
    # written beside and put in place, as careful scripts do
    (out / "summary.tmp").write_text(json.dumps({"epoch": epoch, "loss": total}))
    os.replace(out / "summary.tmp", out / "summary.json")
    if total < best and epoch != 4:
        best = total
        torch.save({"epoch": epoch, "model": model.state_dict()}, out / "best.pt")
    print(f"epoch {epoch}: {total:.6f}, best {torch.load(out / 'best.pt')['epoch']}")

state = torch.load(out / "best.pt")
model.load_state_dict(state["model"])
with torch.no_grad():
    print("best", state["epoch"], nn.functional.mse_loss(model(data), target).item())
notes.close()
table_file.close()
