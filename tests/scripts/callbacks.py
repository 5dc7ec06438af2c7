"""A trainer with callbacks and an endless sampler, as small language-model repositories have it."""
import time
from collections import defaultdict

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, RandomSampler


class CfgNode:
    def __init__(self, **kwargs):
        self.__dict__.update(kwargs)


class SortDataset(Dataset):
    def __init__(self, length=4, num_digits=3):
        self.length, self.num_digits = length, num_digits

    def __len__(self):
        return 10000

    def __getitem__(self, idx):
        while True:
            inp = torch.randint(self.num_digits, size=(self.length,), dtype=torch.long)
            if torch.rand(1).item() < 0.5 and inp.unique().nelement() > self.length // 2:
                continue
            break
        return inp, torch.sort(inp)[0]


class Trainer:
    def __init__(self, config, model, train_dataset):
        self.config = config
        self.model = model
        self.optimizer = None
        self.train_dataset = train_dataset
        self.callbacks = defaultdict(list)
        self.iter_num = 0
        self.iter_time = 0.0
        self.iter_dt = 0.0

    def add_callback(self, onevent, callback):
        self.callbacks[onevent].append(callback)

    def trigger_callbacks(self, onevent):
        for callback in self.callbacks.get(onevent, []):
            callback(self)

    def run(self):
        model, config = self.model, self.config
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=config.betas)
        train_loader = DataLoader(
            self.train_dataset,
            sampler=RandomSampler(self.train_dataset, replacement=True, num_samples=int(1e10)),
            shuffle=False,
            batch_size=config.batch_size,
        )
        model.train()
        self.iter_num = 0
        self.iter_time = time.time()
        data_iter = iter(train_loader)
        while True:
            try:
                batch = next(data_iter)
            except StopIteration:
                data_iter = iter(train_loader)
                batch = next(data_iter)
            x, y = batch
            logits = model(x)
            self.loss = nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1))
            model.zero_grad(set_to_none=True)
            self.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_norm_clip)
            self.optimizer.step()
            self.trigger_callbacks("on_batch_end")
            self.iter_num += 1
            tnow = time.time()
            self.iter_dt = tnow - self.iter_time
            self.iter_time = tnow
            if config.max_iters is not None and self.iter_num >= config.max_iters:
                break


torch.manual_seed(3407)
model = nn.Sequential(nn.Embedding(3, 8), nn.Flatten(), nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 12), nn.Unflatten(1, (4, 3)))
config = CfgNode(learning_rate=5e-3, betas=(0.9, 0.95), batch_size=4, grad_norm_clip=1.0, max_iters=20)
trainer = Trainer(config, model, SortDataset())
top = {"score": float("inf"), "at": None}
losses = []


def batch_end_callback(trainer):
    losses.append(trainer.loss.item())
    if trainer.iter_num % 5 == 0:
        print(f"iter {trainer.iter_num}: train loss {trainer.loss.item()!r}")


def keep_best(trainer, best=top):
    if trainer.loss.item() < best["score"]:
        best.update(score=trainer.loss.item(), at=trainer.iter_num)


trainer.add_callback("on_batch_end", batch_end_callback)
trainer.add_callback("on_batch_end", keep_best)
trainer.add_callback("on_batch_end", lambda t: model.eval() and None if t.iter_num == 9 else None)
trainer.add_callback("on_batch_end", lambda t: model.train() and None)
trainer.run()
print(top, sum(losses), len(losses))
