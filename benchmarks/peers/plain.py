"""The job without any checkpoint: alone, and under survivor."""

from recipe import Progress, arguments, loader, loss_of, network, optimizer

args = arguments()
model = network(args)
opt = optimizer(model)
batches = loader(args)
progress, step = Progress(), 0
for _epoch in range(args.epochs):
    for x, y in batches:
        opt.zero_grad()
        loss_of(model(x), y).backward()
        opt.step()
        step += 1
        progress.step(step)
progress.end(model, opt, step)
