"""Memory that survivor takes beside the training: its two processes, and the arena that holds the snapshots.

    python benchmarks/memory.py [--mb 200] [--out docs/charts]

A job with a state of that size is run for some snapshots and checkpoints; meanwhile the memory that belongs to the
supervisor and to the writer alone is read from the kernel (private pages; the arena is shared and counted apart).
Then the same job in a loop of epochs, at whose heads a state is kept as well.
"""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import jobs
import psutil
from jobs import MB, Job
from measure import Result, Table, options, publish


def private_mb(process: psutil.Process) -> float:
    """Megabytes that only this process has."""
    return float(process.memory_full_info().uss) / MB


def resident_mb(process: psutil.Process) -> float:
    """Megabytes resident, shared libraries included, the arena not."""
    found = process.memory_info()
    return (found.rss - found.shared) / MB + _libraries_mb(process)


def _libraries_mb(process: psutil.Process) -> float:
    """Resident megabytes of the files that it maps: python and its libraries."""
    return float(sum(m.rss for m in process.memory_maps() if m.path.startswith("/") and "memfd" not in m.path)) / MB


def arena_mb(pid: int) -> float:
    """Megabytes that the memory files behind a process's descriptors really take."""
    sizes: dict[int, int] = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if "memfd:survivor-" in str(link.readlink()):
            found = link.stat()
            sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values()) / MB


def measured(mb: int, *, nested: bool) -> tuple[list[list[str]], float]:
    """The processes' memory, as rows, and that of the arena over the state."""
    source = jobs.JOB
    if nested:
        source = source.replace("for step in range(steps):", "for epoch in range(steps):\n  for step in range(100):")
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), mb * MB, steps=10**6, pause_s=0.01, source=source)
        process = job.start("--every", "1s", "--overhead", "20%")
        job.wait_for("snapshot_taken", count=6, least_step=300 if nested else 1)
        job.wait_for("checkpoint_saved", count=3)
        supervisor = psutil.Process(process.pid)
        trainer = job.events("started")[-1]["pid"]
        others = [child for child in supervisor.children(recursive=True) if child.pid != trainer]
        rows = [
            [label, f"{private_mb(child):.0f} MB", f"{resident_mb(child):.0f} MB"]
            for label, child in [("supervisor", supervisor), *(("writer", child) for child in others)]
        ]
        arena = arena_mb(process.pid)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
        assert process.returncode == 75, err
    return rows, arena / mb


def main() -> None:
    """Measure and print."""
    args = options(__doc__, mb=200)
    if args.small:
        args.mb = 10
    rows, flat = measured(args.mb, nested=False)
    nested = measured(args.mb, nested=True)[1]
    table = [*rows]
    bars = []
    for label, times in (("arena, one loop", flat), ("arena, epochs and batches", nested)):
        table.append([label, f"{times * args.mb:.0f} MB", f"{times:.2f} times the state"])
        bars.append([f"survivor: {label}", *[times * args.mb] * 3])
    bars += [["the state", *[float(args.mb)] * 3]]
    bars += [[f"survivor: {row[0]}", *[float(row[2].split()[0])] * 3] for row in rows]
    title = f"Memory beside a training with {args.mb} MB of state"
    chart = {"kind": "bars", "title": title, "label": "MB resident", "bars": bars}
    publish(Result("memory", [Table(["", "its own", "resident, files included"], table)], chart), args.out)


if __name__ == "__main__":
    main()
