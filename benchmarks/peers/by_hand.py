"""The job with torch.save at each epoch's end, as most scripts have it, written so that a kill can't spoil the file."""

import os

import torch
from recipe import Progress, arguments, loader, loss_of, network, optimizer

args = arguments()
model = network(args)
opt = optimizer(model)
batches = loader(args)
progress, step, first = Progress(), 0, 0
if os.path.exists("last.pt"):
    state = torch.load("last.pt")
    model.load_state_dict(state["model"])
    opt.load_state_dict(state["opt"])
    first, step = state["epoch"] + 1, state["step"]
for epoch in range(first, args.epochs):
    for x, y in batches:
        opt.zero_grad()
        loss_of(model(x), y).backward()
        opt.step()
        step += 1
        progress.step(step)
    state = {"model": model.state_dict(), "opt": opt.state_dict(), "epoch": epoch, "step": step}
    torch.save(state, "last.pt.new")
    os.replace("last.pt.new", "last.pt")
progress.end(model, opt, step)
