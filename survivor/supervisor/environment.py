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
EFFECTS: tuple[Effect, ...] = ("harmless", "may differ", "will differ")

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
    "cpus": "harmless",
    "machine": "will differ",
    "gpu": "will differ",
}
#: What the processor's vector instructions are called by torch, narrowest first.
_ISAS = ("default", "avx2", "avx512")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One entry in which two environments differ; "" stands for absent."""

    key: str
    before: str
    now: str
    effect: Effect

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.effect:<12}{self.key}: {self.before or 'none'} before, {self.now or 'none'} now"


def fingerprint() -> dict[str, str]:
    """This machine's environment, as text by name."""
    entries = {
        "python": platform.python_version(),
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "cpu instructions": _instructions(),
        "gpu": _gpus(),
    }
    entries |= {name: _version(name) for name in _PACKAGES}
    entries |= {name: os.environ.get(name, "") for name in _VARIABLES}
    return {key: value for key, value in entries.items() if value}


def has_gpu() -> bool:
    """Whether there is one whose kernels torch may run."""
    return bool(_gpus()) or Path("/dev/kfd").exists() or Path("/dev/nvidiactl").exists()


def differences(before: dict[str, str], now: dict[str, str]) -> list[Difference]:
    """Where two fingerprints differ: what will change the bits first, what is harmless last."""
    keys = list(dict.fromkeys([*before, *now]))
    found = [
        Difference(key=key, before=old, now=new, effect=_effect(key, old, new))
        for key in keys
        if (old := before.get(key, "")) != (new := now.get(key, ""))
    ]
    return sorted(found, key=lambda difference: -EFFECTS.index(difference.effect))


def put_back(before: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """The environment variables that make a child here compute as it did there; "" unsets one.

    Thread counts are torch's business and are put back by the child. A processor with more instructions is
    told to use those that the other one had; one with fewer can't be helped.
    """
    wanted = {name: before.get(name, "") for name in _VARIABLES if name != "CUDA_VISIBLE_DEVICES"}
    changes = {name: value for name, value in wanted.items() if value != now.get(name, "")}
    had, has = before.get("cpu instructions", ""), now.get("cpu instructions", "")
    if had in _ISAS and has in _ISAS and _ISAS.index(had) < _ISAS.index(has):
        isa = {"default": "SSE41", "avx2": "AVX2"}[had]
        changes |= {"ATEN_CPU_CAPABILITY": had, "ONEDNN_MAX_CPU_ISA": isa}
        if had == "avx2":
            changes["MKL_ENABLE_INSTRUCTIONS"] = isa
    return changes


def after(now: dict[str, str], changes: dict[str, str]) -> dict[str, str]:
    """The fingerprint of a child that gets ``changes``."""
    entries = now | {name: value for name, value in changes.items() if name in _VARIABLES}
    if "ATEN_CPU_CAPABILITY" in changes:
        entries["cpu instructions"] = changes["ATEN_CPU_CAPABILITY"]
    return {key: value for key, value in entries.items() if value}


def _effect(key: str, before: str, now: str) -> Effect:
    if key == "cpu instructions" and before and now:
        return "will differ"
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


def _instructions() -> str:
    """The vector instructions that torch's own kernels will use."""
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    try:
        match = re.search(r"^flags\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return ""
    if match is None:
        return ""  # not of this family
    flags = set(match[1].split())
    has = "default"
    if {"avx2", "fma"} <= flags:
        has = "avx2"
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"} <= flags:
        has = "avx512"
    return asked if asked in _ISAS and _ISAS.index(asked) < _ISAS.index(has) else has


def _gpus() -> str:
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        match = re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.MULTILINE)
        names.append(match[1].strip() if match else "unknown")
    return ", ".join(names)
