"""From the signal to a durable checkpoint, beside the time that the same disk takes for as many raw bytes.

    python benchmarks/durable.py [--most-mb 1000] [--rounds 3] [--out docs/charts]

The states are of a hundredth, a tenth and the whole of that size. From SIGTERM, which is the way of every notice with
grace: the signal, the next safe point, the copy, the hash, the write with all its fsyncs. Raw is what the disk takes
past the page cache, before and after.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jobs import MB, Job, raw_write_s, synced
from measure import Result, Table, median, options, publish, ratios, seconds, spread, turns


def by_survivor(folder: Path, size_bytes: int) -> float:
    """SIGTERM to a training job; seconds until its last state was durable."""
    place = Path(tempfile.mkdtemp(dir=folder))
    job = Job(place, size_bytes, steps=10**6, pause_s=0.01)
    process = job.start("--every", "1h", "--grace", "120s", "--overhead", "20%")
    job.wait_for("snapshot_taken", count=3)
    job.wait_for("checkpoint_saved")
    sent = time.time()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 75 and "SIGTERM: saved at" in err, err
    took = float(max(event["time"] for event in job.events("checkpoint_saved")) - sent)
    shutil.rmtree(place)
    return took


def others(folder: Path, size_bytes: int) -> dict[str, Callable[[], None]]:
    """The same number of bytes, saved by others and brought to the disk."""
    import torch
    import torch.distributed.checkpoint as dcp
    from safetensors.torch import save_file

    state = {"weights": torch.randn(size_bytes // 4)}

    def durable(save: Callable[[Path], object], name: str) -> None:
        path = folder / name
        save(path)
        synced(path)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return {
        "torch.save + fsync": lambda: durable(lambda path: torch.save(state, path), "torch"),
        "safetensors + fsync": lambda: durable(lambda path: save_file(state, path), "safe"),
        "DCP save + fsync": lambda: durable(lambda path: dcp.save(state, checkpoint_id=path, no_dist=True), "dcp"),
    }


def main() -> None:
    """Measure and print."""
    args = options(__doc__, most_mb=1000, rounds=3)
    if args.small:
        args.most_mb, args.rounds = 20, 1
    rows, bars = [], []
    for size in (args.most_mb * MB // 100, args.most_mb * MB // 10, args.most_mb * MB):
        folder = Path(tempfile.mkdtemp())
        try:
            ways: dict[str, Callable[[], float]] = {
                "raw disk": partial(raw_write_s, folder, size),
                "survivor": partial(by_survivor, folder, size),
                "raw disk, after": partial(raw_write_s, folder, size),
            }
            ways |= {name: partial(seconds, call) for name, call in others(folder, size).items()}
            found = turns(args.rounds, ways)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        raw = [(a + b) / 2 for a, b in zip(found.pop("raw disk"), found.pop("raw disk, after"), strict=True)]
        for name, values in {"raw disk": raw, **found}.items():
            rows.append([f"{size / MB:g} MB", name, f"{spread(values, '.3f')} s", spread(ratios(raw, values))])
            share = ratios(raw, values)
            bars.append([f"{name}, {size / MB:g} MB", median(share), min(share), max(share)])
    title = "From the request to a durable state: speed as a share of the raw disk's"
    bars = [bar for bar in bars if not bar[0].startswith("raw")]
    chart = {"kind": "bars", "title": title, "label": "share of the raw speed", "bars": bars, "target": 0.85}
    head = ["state", "by", "until it is durable", "share of the raw disk's speed"]
    publish(Result("durable", [Table(head, rows)], chart), args.out)


if __name__ == "__main__":
    main()
