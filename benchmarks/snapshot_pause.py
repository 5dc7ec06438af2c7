"""How long training stands still for a snapshot, beside a copy of as many bytes and what others make it wait for.

``python benchmarks/snapshot_pause.py [MB] [FOLDER]``. The pause is what the slowest iterations take more than
the usual one; survivor's own event says how much of it the copy was.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jobs import MB, Job, copy_s, spread, where


def survivor_pauses(folder: Path, size_bytes: int) -> tuple[list[float], list[float]]:
    """The pauses of a job with a snapshot every second or so, and what copying took in each."""
    job = Job(folder, size_bytes, steps=1500, pause_s=0.01)
    process = job.start("--every", "1h", "--overhead", "25%")
    _, err = process.communicate()
    assert process.returncode == 0, err
    took = json.loads(Path(f"{job.log}.times").read_text())
    copies = [event["seconds"] for event in job.events("snapshot_taken") if event["step"] > 1]
    usual = statistics.median(took)
    slowest = sorted(took[5:], reverse=True)[: len(copies)]
    # the first copies may have had to touch the memory first
    return [pause - usual for pause in slowest][2:], copies[2:]


def peers(folder: Path, size_bytes: int) -> dict[str, list[float]]:
    """What one call of each takes that training waits for."""
    import torch
    from safetensors.torch import save_file

    state = {"weights": torch.randn(size_bytes // 4)}
    path = folder / "peer"

    def durable(save: Callable[[], None]) -> None:
        save()
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.close(file)

    def asynchronous() -> None:
        import torch.distributed as dist
        import torch.distributed.checkpoint as dcp

        if not dist.is_initialized():
            dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        asynchronous.future = dcp.async_save(state, checkpoint_id=folder / f"dcp{time.time()}")  # type: ignore[attr-defined]

    calls = {
        "torch.save + fsync": lambda: durable(lambda: torch.save(state, path)),
        "safetensors save_file + fsync": lambda: durable(lambda: save_file(state, path)),
        "DCP async_save, until it returns": asynchronous,
    }
    found: dict[str, list[float]] = {}
    for name, call in calls.items():
        for _ in range(4):
            begin = time.perf_counter()
            call()
            found.setdefault(name, []).append(time.perf_counter() - begin)
            if name.startswith("DCP"):
                asynchronous.future.result()  # type: ignore[attr-defined]
    return found


def main() -> None:
    """Measure and print."""
    size_bytes = int(sys.argv[1] if len(sys.argv) > 1 else 1000) * MB
    folder = Path(tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None))
    try:
        before = copy_s(size_bytes)
        pauses, copies = survivor_pauses(folder, size_bytes)
        copy = [before, copy_s(size_bytes)]
        print(f"{where()}\nstate of {size_bytes / MB:.0f} MB, {len(pauses)} snapshots")
        print(f"{'warm copy of as many bytes':34} {spread(copy)}")
        print(f"{'survivor: whole pause':34} {spread(pauses)}")
        print(f"{'survivor: the copy in it':34} {spread(copies)}")
        for name, values in peers(folder, size_bytes).items():
            print(f"{name:34} {spread(values)}")
        print(f"pause / warm copy: {statistics.median(pauses) / statistics.median(copy):.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
