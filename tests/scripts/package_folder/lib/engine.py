import torch
from torch.nn import functional as F

from . import state

step_count = 0


def train_step(model, optimizer, batch):
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(batch["x"]), batch["y"])
    loss.backward()
    optimizer.step()
    return loss.item()


def train_one_epoch(model, optimizer, scheduler, loader, epoch):
    global step_count
    model.train()
    losses = []
    for batch in loader:
        losses.append(train_step(model, optimizer, batch))
        scheduler.step()
        step_count += 1
        state.seen += len(batch["y"])
        state.Totals.batches += 1
        state.Totals.loss += losses[-1]
        state.history.append((epoch, step_count, losses[-1]))
    return {"loss": sum(losses) / len(losses), "lr": scheduler.get_last_lr()[0], "momentum": optimizer.param_groups[0]["momentum"]}


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = total = 0
    for batch in loader:
        right += (model(batch["x"]).argmax(1) == batch["y"]).sum().item()
        total += len(batch["y"])
    return right / total
