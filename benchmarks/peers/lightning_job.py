"""The job with Lightning: ModelCheckpoint every so many steps, ckpt_path on the way back, a stateful loader."""

import logging
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from recipe import Progress, arguments, loader, loss_of, network, optimizer
from torchdata.stateful_dataloader import StatefulDataLoader

args = arguments()
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Module(lightning.LightningModule):
    """The network with its step."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(args)

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        x, y = batch
        return loss_of(self.net(x), y)

    def on_train_batch_end(self, *_: object) -> None:
        progress.step(self.trainer.global_step)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer(self.net)


module = Module()
saved = ModelCheckpoint(dirpath="ckpt", save_last=True, save_top_k=1, every_n_train_steps=args.every or args.batches)
trainer = lightning.Trainer(
    accelerator="cpu",
    max_epochs=args.epochs,
    callbacks=[saved],
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
batches = loader(args, StatefulDataLoader)
last = Path("ckpt/last.ckpt")
progress = Progress()
trainer.fit(module, batches, ckpt_path=last if last.exists() else None)
progress.end(module.net, trainer.optimizers[0], trainer.global_step)
