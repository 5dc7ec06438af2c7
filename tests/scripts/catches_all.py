"""try/except KeyboardInterrupt round everything, except Exception round a batch, a log and a fresh folder."""
import logging
import os
import sys

import torch
from torch import nn

run_dir = "runs/exp1"
os.makedirs(run_dir, exist_ok=False)
logfile = open(os.path.join(run_dir, "train.log"), "w")
csv = open(os.path.join(run_dir, "metrics.csv"), "w", buffering=1)
csv.write("step,loss\n")
logger = logging.getLogger("train")
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.addHandler(logging.FileHandler(os.path.join(run_dir, "logger.log"), mode="w"))

torch.manual_seed(33)
model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
optimizer = torch.optim.ASGD(model.parameters(), lr=0.05, t0=5)
failed = 0
step = 0
logger.info("start")
try:
    for epoch in range(1, 5):
        for batch in range(6):
            try:
                x = torch.randn(8, 4)
                if torch.rand(1).item() < 0.15:
                    raise ValueError("a bad batch")
                loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            except Exception as error:
                failed += 1
                logger.info("skipped a batch: %s", error)
                continue
            step += 1
            csv.write(f"{step},{loss.item()!r}\n")
        logfile.write(f"epoch {epoch} loss {loss.item()!r}\n")
        logfile.flush()
        logger.info("epoch %d %r failed %d", epoch, loss.item(), failed)
        with open(os.path.join(run_dir, "last.txt"), "w") as f:
            f.write(f"{epoch} {loss.item()!r}\n")
        with open(os.path.join(run_dir, "all.txt"), "a") as f:
            f.write(f"{epoch} {loss.item()!r}\n")
except KeyboardInterrupt:
    print("interrupted: saving what we have")
    torch.save(model.state_dict(), os.path.join(run_dir, "interrupted.pt"))
except BaseException:
    print("something else went wrong")
    raise
finally:
    print("closing the log after", step, "steps")
    logfile.write("the end\n")
    logfile.close()
    csv.close()
print("done", failed)
