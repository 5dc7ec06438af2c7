"""The job with Ray Train: a TorchTrainer with one worker, which reports a checkpoint at each epoch's end."""

import tempfile
from pathlib import Path

import ray
import torch
from ray import train
from ray.train.torch import TorchTrainer
from recipe import Progress, arguments, loader, loss_of, network, optimizer

args = arguments()


def loop() -> None:
    """What the worker runs."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = train.torch.prepare_model(network(args))
    opt = optimizer(model)
    batches = train.torch.prepare_data_loader(loader(args))
    progress, step = Progress(), 0
    for epoch in range(args.epochs):
        for x, y in batches:
            opt.zero_grad()
            loss_of(model(x), y).backward()
            opt.step()
            step += 1
            progress.step(step)
        with tempfile.TemporaryDirectory() as folder:
            torch.save({"model": model.state_dict(), "opt": opt.state_dict()}, Path(folder, "state.pt"))
            train.report({"epoch": epoch}, checkpoint=train.Checkpoint.from_directory(folder))
    progress.end(model, opt, step, to=Path(args.result))


args.result = str(Path("result.json").resolve())
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
TorchTrainer(
    loop,
    scaling_config=train.ScalingConfig(num_workers=1),
    run_config=train.RunConfig(storage_path=str(Path("ray").resolve())),
).fit()
print(Path(args.result).read_text(), flush=True)
