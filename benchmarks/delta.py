"""Bytes that a checkpoint writes when 1% of the state has changed since the one before it.

    python benchmarks/delta.py [--mb 200] [--checkpoints 10] [--out docs/charts]

The state is that of fine-tuning: a hundred tensors of equal size, one of which is trained. The job runs under
survivor with a checkpoint at each safe point; what its packs and manifests take on disk is counted, file by file. The
others save the same state as many times in their usual way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import SURVIVOR
from jobs import MB
from measure import Result, Table, has, last_line, options, publish

_JOB = """
import json, sys, torch
torch.manual_seed(0)
size, steps = int(sys.argv[1]), int(sys.argv[2])
model = torch.nn.ParameterList(torch.randn(size // 400) for _ in range(100))
model.requires_grad_(False)
model[50].requires_grad_(True)
optimizer = torch.optim.SGD([model[50]], lr=0.01)
for step in range(steps):
    loss = model[50].square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(json.dumps(float(loss)))
"""


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def by_survivor(folder: Path, size_bytes: int, count: int) -> list[int]:
    """Bytes of the first checkpoint, then of each later one: packs and manifests, by their numbers."""
    import sys

    (folder / "job.py").write_text(_JOB)
    flags = ("--every", "0", "--keep", str(count + 9))
    last_line([sys.executable, *SURVIVOR, *flags, "job.py", str(size_bytes), str(count + 1)], folder)
    sizes: dict[str, int] = {}
    for kind in ("packs", "checkpoints"):
        for path in (folder / "survivor-jobs" / "job" / kind).iterdir():
            step = "-".join(path.name.split("-")[:2])
            sizes[step] = sizes.get(step, 0) + path.stat().st_size
    return [size for _, size in sorted(sizes.items())]


def savers(folder: Path) -> dict[str, Callable[[dict[str, Any], int], None]]:
    """How the others save a state, the n-th time."""
    import torch
    import torch.distributed.checkpoint as dcp
    from safetensors.torch import save_file

    found: dict[str, Callable[[dict[str, Any], int], None]] = {
        "torch.save": lambda state, n: torch.save(state, folder / f"{n}.pt"),
        "safetensors save_file": lambda state, n: save_file(state, folder / f"{n}.safetensors"),
        "DCP save": lambda state, n: dcp.save(state, checkpoint_id=folder / f"dcp{n}", no_dist=True),  # type: ignore[func-returns-value]
    }
    if has("moonclip"):
        found["ravex (moonclip), deltas"] = moonclip_saver(folder)
    return found


def moonclip_saver(folder: Path) -> Callable[[dict[str, Any], int], None]:
    """The engine that ravex saves by."""
    import moonclip

    manager = moonclip.CheckpointManager(str(folder / "moonclip"))

    def save(state: dict[str, Any], n: int) -> None:
        manager.save_raw(n, state)
        manager.flush()

    return save


def by_others(size_bytes: int) -> dict[str, int]:
    """Bytes of a second checkpoint, after one tensor of a hundred has changed."""
    import torch

    written = {}
    with tempfile.TemporaryDirectory() as name:
        for label, save in savers(Path(name)).items():
            state = {f"{n}": torch.randn(size_bytes // 400) for n in range(100)}
            save(state, 1)
            before = size_of(Path(name))
            state["50"] += 1
            save(state, 2)
            written[label] = size_of(Path(name)) - before
    return written


def main() -> None:
    """Measure and print."""
    args = options(__doc__, mb=200, checkpoints=10)
    if args.small:
        args.mb, args.checkpoints = 4, 3
    size = args.mb * MB
    with tempfile.TemporaryDirectory() as name:
        sizes = by_survivor(Path(name), size, args.checkpoints)
    later = sorted(sizes[2:])
    shares = {"survivor": later[len(later) // 2], **by_others(size)}
    rows = [[label, f"{count / 1e6:.2f} MB", f"{count / size:.1%}"] for label, count in shares.items()]
    notes = [
        f"A state of {args.mb} MB in 100 tensors. survivor's figure is the median of {len(later)} checkpoints, the "
        f"manifest included; the most was {max(later) / size:.1%}. Its first two wrote {sizes[0] / size:.1%} and "
        f"{sizes[1] / size:.1%}."
    ]
    bars = [[label, *[100 * count / size] * 3] for label, count in shares.items()]
    title = "Bytes written for a checkpoint when 1% of the state has changed"
    chart = {"kind": "bars", "title": title, "label": "% of the state", "bars": bars, "target": 1.0}
    head = ["saved by", "bytes written", "share of the state"]
    publish(Result("delta", [Table(head, rows)], chart, notes), args.out)


if __name__ == "__main__":
    main()
