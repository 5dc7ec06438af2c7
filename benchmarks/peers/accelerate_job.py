"""The job with Accelerate: save_state every so many steps, load_state and skip_first_batches on the way back."""

import os
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from recipe import Progress, arguments, loader, loss_of, network, optimizer

args = arguments()
accelerator = Accelerator(
    cpu=True,
    project_config=ProjectConfiguration(project_dir=".", automatic_checkpoint_naming=False),
)
model = network(args)
model, opt, batches = accelerator.prepare(model, optimizer(model), loader(args))
progress, step = Progress(), 0


def newest() -> str | None:
    """The newest folder that save_state has finished; a kill may have left half of one."""
    found = [path for path in Path().glob("step_*") if not path.name.endswith(".part")]
    return max(found, key=lambda path: int(path.name[5:])).name if found else None


def save() -> None:
    """save_state writes many files: into a folder that gets its name when all of them stand, two of which are kept."""
    accelerator.save_state(f"step_{step}.part")
    os.replace(f"step_{step}.part", f"step_{step}")
    for old in sorted(Path().glob("step_*"), key=lambda path: int(path.name[5:].removesuffix(".part")))[:-2]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()


if (name := newest()) is not None:
    accelerator.load_state(name)
    step = int(name[5:])
first, ahead = divmod(step, args.batches)
for epoch in range(first, args.epochs):
    batches.set_epoch(epoch)
    rest = accelerator.skip_first_batches(batches, ahead) if epoch == first and ahead else batches
    for x, y in rest:
        opt.zero_grad()
        accelerator.backward(loss_of(model(x), y))
        opt.step()
        step += 1
        progress.step(step)
        if args.every and step % args.every == 0:
            save()
    if not args.every:
        save()
progress.end(accelerator.unwrap_model(model), opt.optimizer, step)
