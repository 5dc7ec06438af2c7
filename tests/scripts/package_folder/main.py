"""The training step, the data and the counters live in other modules of the folder."""
import torch

from lib import engine, state
from lib.data import make_loaders
from lib.models import build

if __name__ == "__main__":
    with open("conf/settings.py") as f:
        exec(f.read())
    torch.manual_seed(seed)
    train_loader, val_loader = make_loaders(batch_size)
    model, optimizer, scheduler = build(lr, epochs * len(train_loader))
    for epoch in range(epochs):
        stats = engine.train_one_epoch(model, optimizer, scheduler, train_loader, epoch)
        result = engine.evaluate(model, val_loader)
        print(epoch, stats, result, state.seen, state.Totals.batches)
    print(state.history)
