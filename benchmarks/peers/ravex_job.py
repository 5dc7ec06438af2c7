"""The job with ravex: its decorator around the function that trains."""

import logging
from pathlib import Path

import ravex
from recipe import Progress, arguments, loader, loss_of, network, optimizer

args = arguments()
logging.getLogger("ravex").setLevel(logging.ERROR)


# max_steps, since the loop over epochs starts at 0 again in each session;
# delta: false, since a delta at every step, its default, makes steps of a millisecond fifty times as long
@ravex.train_loop(
    checkpoint_every=args.every or args.batches,
    delta=False,
    max_steps=args.epochs * args.batches,
    storage={"type": "local", "path": str(Path("ckpt").resolve())},
)
def train() -> None:
    """As in its README."""
    model = network(args)
    opt = optimizer(model)
    batches = loader(args)
    progress = Progress()
    for _epoch in range(args.epochs):
        for x, y in batches:
            opt.zero_grad()
            loss_of(model(x), y).backward()
            opt.step()
            progress.step(int(ravex.status()["step"]))
    progress.end(model, opt, int(ravex.status()["step"]))


train()
