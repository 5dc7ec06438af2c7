"""Settings of the process that change while it trains: the working folder, how numbers are printed, flags of torch."""

import decimal
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
for name, scale in (("warm", 1.0), ("hot", 1.5)):
    os.makedirs(name, exist_ok=True)
    Path(name, "scale.txt").write_text(str(scale))
    os.chmod(f"{name}/scale.txt", 0o600)
if os.path.lexists("newest"):
    os.remove("newest")
os.symlink("hot/scale.txt", "newest")  # as scripts do that point at their newest run
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x = torch.randn(24, 3)
y = x.sum(1, keepdim=True)

for step in range(14):
    if step == 3:
        os.chdir("warm")
    if step == 6:
        os.chdir(Path("..", "hot"))
        os.chmod("scale.txt", 0o640)
        torch.set_printoptions(precision=2)
        np.set_printoptions(precision=3, suppress=True)
        decimal.getcontext().prec = 4
    if step == 9:
        torch.set_default_dtype(torch.float64)
        os.makedirs("late", exist_ok=True)
        os.chdir("late")
        Path("scale.txt").write_text("2.0")
    scale = float(Path("scale.txt").read_text()) if step >= 3 else 1.0
    loss = ((model(x) * scale - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    where = Path.cwd().name if step >= 3 else ""
    mode = oct(os.stat(Path(__file__).parent / "hot" / "scale.txt").st_mode)
    print(step, decimal.Decimal(scale) / 3, torch.tensor(loss.item() / 3), np.array([scale / 3]), where, mode)
    Path("losses.txt").open("a").write(f"{step} {loss.item()}\n")
