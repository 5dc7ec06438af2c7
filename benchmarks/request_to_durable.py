"""From the signal to a durable checkpoint, beside the time that the same disk takes for as many raw bytes.

``python benchmarks/request_to_durable.py [FOLDER] [MB ...]``: 10, 100 and 1000 MB by default.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from jobs import MB, Job, raw_write_s, spread, where

ROUNDS = 3


def request_to_durable_s(folder: Path, size_bytes: int) -> float:
    """SIGTERM to a training job; seconds until its last state was durable."""
    job = Job(folder, size_bytes, steps=10**6, pause_s=0.01)
    process = job.start("--every", "1h", "--grace", "120s", "--overhead", "20%")
    job.wait_for("snapshot_taken", count=3)
    job.wait_for("checkpoint_saved")
    sent = time.time()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 75 and "SIGTERM: saved at" in err, err
    return float(max(event["time"] for event in job.events("checkpoint_saved")) - sent)


def torch_save_s(folder: Path, size_bytes: int) -> float:
    """``torch.save`` and ``fsync`` of as many bytes."""
    import torch

    state = {"weights": torch.randn(size_bytes // 4)}
    begin = time.perf_counter()
    with open(folder / "torch", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    root = sys.argv[1] if len(sys.argv) > 1 else None
    sizes = [int(word) for word in sys.argv[2:]] or [10, 100, 1000]
    print(where())
    for size in sizes:
        ours, raw, plain = [], [], []
        for _ in range(ROUNDS):
            folder = Path(tempfile.mkdtemp(dir=root))
            try:
                raw.append(raw_write_s(folder, size * MB))
                ours.append(request_to_durable_s(folder, size * MB))
                plain.append(torch_save_s(folder, size * MB))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        print(f"{size:5} MB  survivor {spread(ours)}\n          raw disk {spread(raw)}")
        print(f"          torch.save + fsync {spread(plain)}")
        print(f"          raw / survivor: {statistics.median(raw) / statistics.median(ours):.2f}")


if __name__ == "__main__":
    main()
