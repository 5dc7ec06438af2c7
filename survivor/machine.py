"""What this machine, or the container on it, still has to give: memory, as the kernel would count it.

A container's limit counts and not the machine's memory: the kernel ends who goes beyond it. Files that are only
cached are free memory, pages of shared memory are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True)
class Memory:
    """Bytes of memory: the limit that counts, and what is used of it."""

    limit_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        """What may still be taken."""
        return max(0, self.limit_bytes - self.used_bytes)


def memory(root: Path = Path("/")) -> Memory:
    """The memory of this process's surroundings: the tightest of the machine and the cgroups around it.

    Args:
        root: where ``proc`` and ``sys`` are found; for tests.
    """
    found = [_machine(root), *_groups(root)]
    return min(found, key=lambda item: item.free_bytes)


def oom_kills(root: Path = Path("/")) -> int:
    """How many processes of this cgroup the kernel has ended for want of memory so far."""
    total = 0
    for folder in _folders(root):
        for name in ("memory.events", "memory.oom_control"):
            match = re.search(r"^oom_kill (\d+)$", _read(folder / name), re.MULTILINE)
            total = max(total, int(match[1]) if match else 0)
    return total


def _machine(root: Path) -> Memory:
    text = _read(root / "proc/meminfo")
    total, available = (re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE) for name in ("MemTotal", "MemAvailable"))
    if total is None or available is None:
        return Memory(_UNLIMITED_BYTES, 0)
    limit = int(total[1]) * 1024
    return Memory(limit, limit - int(available[1]) * 1024)


def _groups(root: Path) -> list[Memory]:
    found = []
    for folder in _folders(root):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _read(folder / limit_name).strip(), _read(folder / used_name).strip()
            if limit.isdecimal() and used.isdecimal() and int(limit) < _UNLIMITED_BYTES:
                cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
                found.append(Memory(int(limit), max(0, int(used) - (int(cached[1]) if cached else 0))))
    return found


def _folders(root: Path) -> list[Path]:
    """The folders of this process's memory cgroups, from the innermost outward."""
    folders: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        inner = base / path.lstrip("/")
        # inside a container the path is often that of the host, and only the root is there
        folders += [inner, *(p for p in inner.parents if p == base or base in p.parents)]
    return list(dict.fromkeys(folders))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
