"""The environment of a session, and what two of them differ in.

Found without importing torch: versions come from package metadata, GPUs from the driver's files.
What only a running torch knows (BLAS kernels, CUDA, determinism flags) is the child's to add.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

Effect = Literal["harmless", "may differ", "will differ"]

_PACKAGES = ("torch", "numpy", "torchvision", "survivor")
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_CBWR",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
#: What a difference in an entry does to the bits; entries that are not named may change them.
_EFFECTS: dict[str, Effect] = {
    "host": "harmless",
    "system": "harmless",
    "survivor": "harmless",
    "machine": "will differ",
    "gpu": "will differ",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One entry in which two environments differ; "" stands for absent."""

    key: str
    before: str
    now: str
    effect: Effect

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.key}: {self.before or 'none'} before, {self.now or 'none'} now ({self.effect})"


def fingerprint() -> dict[str, str]:
    """This machine's environment, as text by name."""
    entries = {
        "python": platform.python_version(),
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "gpu": _gpus(),
    }
    entries |= {name: _version(name) for name in _PACKAGES}
    entries |= {name: os.environ.get(name, "") for name in _VARIABLES}
    return {key: value for key, value in entries.items() if value}


def differences(before: dict[str, str], now: dict[str, str]) -> list[Difference]:
    """Where two fingerprints differ, in the order of their entries."""
    keys = list(dict.fromkeys([*before, *now]))
    return [
        Difference(key=key, before=old, now=new, effect=_effect(key, old, new))
        for key in keys
        if (old := before.get(key, "")) != (new := now.get(key, ""))
    ]


def _effect(key: str, before: str, now: str) -> Effect:
    if key == "python" and before.split(".")[:2] == now.split(".")[:2]:
        return "harmless"
    return _EFFECTS.get(key, "may differ")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return ""
    return match[1].strip() if match else ""


def _gpus() -> str:
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        match = re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.MULTILINE)
        names.append(match[1].strip() if match else "unknown")
    return ", ".join(names)
