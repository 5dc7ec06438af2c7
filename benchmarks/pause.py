"""How long training stands still for a snapshot, beside a copy of as many bytes and what others make it wait for.

    python benchmarks/pause.py [--mb 1000] [--steps 120] [--rounds 3] [--out docs/charts]

Each step of the job takes 0.2 s, as a forward pass on another device would. The pause is what two iterations take more
than the usual ones: the one that begins with the snapshot, and the next, since an optimizer may have had to wait.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from delta import moonclip_saver
from jobs import MB, Job, copy_s, synced
from measure import Result, Table, has, median, options, publish, ratios, seconds, spread, turns

STEP_S = 0.2
#: The first snapshots may have to touch their memory first.
WARM_UP = 2


def by_survivor(size_bytes: int, steps: int, *, held: bool) -> float:
    """The median pause of a job's snapshots; ``held``: by an optimizer, so that they are copied beside it."""
    folder = Path(tempfile.mkdtemp())
    try:
        job = Job(folder, size_bytes, steps=steps, pause_s=STEP_S, held=held)
        process = job.start("--every", "1h", "--overhead", "15%")
        _, err = process.communicate()
        assert process.returncode == 0, err
        took = json.loads(Path(f"{job.log}.times").read_text())
        heads = [event["step"] - 1 for event in job.events("snapshot_taken") if 1 < event["step"] < steps]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    usual = median(took)
    return median([took[head] + took[head + 1] - 2 * usual for head in heads][WARM_UP:])


def peers(folder: Path, size_bytes: int) -> dict[str, Callable[[], float]]:
    """What one call of each takes that training waits for."""
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    state: dict[str, Any] = {"weights": torch.randn(size_bytes // 4)}
    path, count = folder / "peer", 0
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)

    def durable(save: Callable[[], None]) -> None:
        save()
        synced(path)

    def asynchronous() -> float:
        nonlocal count
        count += 1
        started: list[Any] = []
        took = seconds(lambda: started.append(dcp.async_save(state, checkpoint_id=folder / f"dcp{count}")))
        started[0].result()
        shutil.rmtree(folder / f"dcp{count}")
        return took

    found = {
        "torch.save + fsync": partial(seconds, lambda: durable(lambda: torch.save(state, path))),
        "safetensors + fsync": partial(seconds, lambda: durable(lambda: save_file(state, path))),
        "DCP async_save, until it returns": asynchronous,
    }
    if has("moonclip"):
        save = moonclip_saver(folder)

        def delta() -> float:
            nonlocal count
            count += 1
            state["weights"][:1000] += 1
            return seconds(lambda: save(state, count))

        found["ravex (moonclip), a delta"] = delta
    return found


def main() -> None:
    """Measure and print."""
    args = options(__doc__, mb=1000, steps=120, rounds=3)
    if args.small:
        args.mb, args.steps, args.rounds = 20, 25, 1
    size = args.mb * MB
    folder = Path(tempfile.mkdtemp())
    try:
        ways: dict[str, Callable[[], float]] = {
            "a warm copy": lambda: copy_s(size),
            "survivor, beside the training": lambda: by_survivor(size, args.steps, held=True),
            "survivor, at once": lambda: by_survivor(size, args.steps, held=False),
            **peers(folder, size),
        }
        found = turns(args.rounds, ways)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    copies = found["a warm copy"]
    over = {name: ratios(values, copies) for name, values in found.items()}
    rows = [[name, f"{1000 * median(values):.1f} ms", spread(over[name])] for name, values in found.items()]
    bars = [[name, 1000 * median(values), 1000 * min(values), 1000 * max(values)] for name, values in found.items()]
    title = f"Training stands still for a snapshot of {args.mb} MB"
    chart = {"kind": "bars", "title": title, "label": "milliseconds", "bars": bars, "log": True}
    head = ["", "training waits", "over a warm copy"]
    publish(Result("pause", [Table(head, rows)], chart), args.out)


if __name__ == "__main__":
    main()
