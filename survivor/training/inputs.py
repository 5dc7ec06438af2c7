"""The files and folders that a script reads while it sets up: what another machine must have to go on.

Python's ``open`` is watched anyway (`survivor.training.files`), and listing a folder is watched here; what C
code opens by itself is not seen. Nothing of the contents is recorded, only where they are.

An audit hook does not work: it is called for each ``id()`` and ``sys._getframe()`` of the whole process as
well, and can't be taken off again.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

_MOST = 200
_SYSTEM = ("/dev/", "/proc/", "/sys/", "/etc/", "/usr/", "/lib", "/bin/", "/opt/", "/nix/", "/var/lib/")

_seen: dict[str, None] = {}
_libraries: tuple[str, ...] = ()
_looking = False


def begin() -> None:
    """Look from now on, in this process."""
    global _looking, _libraries  # noqa: PLW0603 - one process, one list
    _seen.clear()
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, own, *filter(None, sysconfig.get_paths().values())}
    _libraries = tuple(folders)
    if not _looking:
        _looking = True
        os.listdir = _watched(os.listdir)
        os.scandir = _watched(os.scandir)


def saw(path: Any) -> None:
    """The script reads ``path``, if it is one."""
    if not _looking or len(_seen) >= _MOST or not isinstance(path, (str, os.PathLike)):
        return
    full = os.path.abspath(os.fsdecode(path))
    hidden = "/." in full or "/__pycache__" in full or full.endswith((".py", ".pyc"))
    if not hidden and not full.startswith(_SYSTEM) and not full.startswith(_libraries):
        _seen[full] = None


def read_so_far() -> list[str]:
    """The paths that were read and are there, absolute and sorted."""
    return sorted(path for path in list(_seen) if os.path.exists(path))


def _watched(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if args:
            saw(args[0])
        return original(*args, **kwargs)

    watched.__module__ = "os"  # where it is found now
    return watched
