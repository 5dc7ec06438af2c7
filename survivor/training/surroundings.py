"""What only a running torch knows of its surroundings: thread counts, libraries, devices; kept with each checkpoint.

The number of threads decides how sums are split, and so their last bits. It is put back, whatever this
machine has. The rest is compared and told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import JobError
from survivor.training import attachments

_found: dict[str, Any] = {}


def set_variables(changes: dict[str, str]) -> None:
    """Set environment variables before torch is loaded; "" unsets one."""
    for name, value in changes.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def begin(deterministic: bool) -> None:
    """Note the surroundings as the script will find them, for each checkpoint."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    _found.clear()
    _found.update(_look(torch))
    attachments.add(_attach)


def settle(before: Any, on_drift: str, warn: Callable[[str], None]) -> None:
    """Put back what can be, and tell of the rest.

    Args:
        before: what a checkpoint says; None if it says nothing.
        on_drift: ``warn``, ``error`` or ``ignore``.
        warn: tells the user a line.

    Raises:
        JobError: something differs, and the user wants that to be an error.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(before, dict) or on_drift == "ignore":
        return
    threads = before.get("threads")
    if isinstance(threads, int) and 0 < threads <= 4096 and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
        _found["threads"] = threads
    differing = [
        f"{key}: {before.get(key, 'none')} before, {_found.get(key, 'none')} now"
        for key in sorted({*before, *_found})
        if key != "threads" and before.get(key) != _found.get(key)
    ]
    if differing and on_drift == "error":
        raise JobError(
            "torch finds other surroundings than the last session: " + "; ".join(differing),
            advice="ways out: put it back as it was, or --on-drift warn to go on; results may then differ",
        )
    for line in differing:
        warn(f"results may differ: {line}")


def _attach(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, document=snapshot.document | {"surroundings": dict(_found)})


def _look(torch: Any) -> dict[str, Any]:
    found = {
        "threads": torch.get_num_threads(),
        "cpu kernels": torch.backends.cpu.get_cpu_capability(),
        "mkl": torch.backends.mkl.is_available(),
        "mkldnn": torch.backends.mkldnn.is_available(),
    }
    if torch.cuda.is_available():
        found |= {
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "devices": ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        }
    return found
