"""One job in several hands: the data, the network and the sums by which two runs are found equal.

The programs beside this file train the same network on the same data: ``plain.py`` without any checkpoint (it is also
what survivor runs), the others as the documentation of their tool shows it. The data are shuffled and augmented with
random numbers, and the network has dropout, so a resume that loses a generator's state ends with other weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

FEATURES, CLASSES = 64, 10


def arguments() -> argparse.Namespace:
    """The size of the job; ``--every 0`` makes checkpoints at each epoch's end only, where there are any."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--every", type=int, default=0, help="steps between checkpoints")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return parser.parse_args()


class Noisy(Dataset[tuple[torch.Tensor, int]]):
    """Random vectors with labels, and fresh noise on each look."""

    def __init__(self, length: int) -> None:
        chance = torch.Generator().manual_seed(1)
        self.x = torch.randn(length, FEATURES, generator=chance)
        self.y = torch.randint(CLASSES, (length,), generator=chance).tolist()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.x[index] + 0.1 * torch.randn(FEATURES), self.y[index]


def loader(args: argparse.Namespace, kind: type[Any] = DataLoader) -> Any:
    """A shuffled loader without workers."""
    return kind(Noisy(args.batches * args.batch), batch_size=args.batch, shuffle=True)


def network(args: argparse.Namespace) -> nn.Module:
    """Two hidden layers with dropout."""
    width = args.width
    return nn.Sequential(
        nn.Linear(FEATURES, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, CLASSES),
    )


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """The usual one."""
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


loss_of = nn.CrossEntropyLoss()


class Progress:
    """Counts steps, tells them to who watches (file ``PROGRESS``), and takes the loop's times."""

    def __init__(self) -> None:
        self.file = os.open(os.environ.get("PROGRESS", "progress"), os.O_RDWR | os.O_CREAT)
        self.begin, self.cpu = time.perf_counter(), time.process_time()

    def step(self, number: int) -> None:
        """So many steps stand now."""
        os.pwrite(self.file, number.to_bytes(8, "little"), 0)

    def end(self, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, to: Path | None = None) -> None:
        """Print times, steps and the digest of what was trained, or write them to a file."""
        found = {
            "wall": time.perf_counter() - self.begin,
            "cpu": time.process_time() - self.cpu,
            "steps": steps,
            "digest": digest(model, optimizer),
        }
        if to:
            to.write_text(json.dumps(found))
        else:
            print(json.dumps(found), flush=True)


def digest(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """Of all weights and the optimizer's state, bit by bit."""
    found = hashlib.sha256()
    for parameter in model.parameters():
        found.update(parameter.detach().numpy().tobytes())
        for name, value in sorted(optimizer.state[parameter].items()):
            found.update(name.encode() + torch.as_tensor(value).numpy().tobytes())
    return found.hexdigest()[:16]
