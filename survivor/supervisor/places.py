"""Where this runs, Colab, Kaggle or elsewhere: where jobs are kept by default, and what must be said of it.

Time limits of these places are in `survivor.notices.clock`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from survivor.errors import UsageError
from survivor.store import mounts
from survivor.supervisor.options import DEFAULT_STORE

Name = Literal["colab", "kaggle", ""]

_MOUNT_LINES = "from google.colab import drive\ndrive.mount('/content/drive')"
_KAGGLE = "/kaggle/working"
_USUAL_DRIVE = "/content/drive"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is known of where this runs; the defaults look at this machine.

    Attributes:
        environ: environment variables.
        root: folder that the place's own files are looked for in.
        mount_table: file that lists what is mounted.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    root: Path = Path("/")
    mount_table: str = "/proc/mounts"

    @property
    def name(self) -> Name:
        """The place; "" for any other."""
        if self.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
            return "kaggle"
        known = ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION")
        if any(self.environ.get(name) for name in known) or (self.root / "var/colab/hostname").exists():
            return "colab"
        return ""

    @property
    def drive(self) -> str:
        """Where Google Drive is mounted; "" if it is not."""
        found = mounts.of_kind(mounts.DRIVE, self.mount_table)
        return found[0] if found else ""

    def default_store(self) -> str:
        """Where jobs are kept if nobody says so: what outlives the session, where there is such a place."""
        if self.environ.get("SURVIVOR_STORE"):
            return self.environ["SURVIVOR_STORE"]
        if self.name == "colab" and self.drive:
            return f"{self.drive}/MyDrive/{DEFAULT_STORE}"
        if self.name == "kaggle":
            return f"{_KAGGLE}/{DEFAULT_STORE}"
        return DEFAULT_STORE

    def check(self, store: str) -> list[str]:
        """What the user is warned of at the start: that this store does not outlive the session.

        Raises:
            UsageError: the store lies on a Drive that is not mounted.
        """
        if self.name == "kaggle":
            return [] if _below(store, _KAGGLE) or "://" in store else [_kaggle_elsewhere(store)]
        if self.name != "colab" or "://" in store:
            return []
        if self.on_drive(store):
            return []
        if _below(store, self.drive or _USUAL_DRIVE):
            raise UsageError(
                f"{store} is below {_USUAL_DRIVE}, where no Drive is mounted: what is written there is lost",
                advice=f"in a cell of the notebook (a '!' line can't do it):\n{_MOUNT_LINES}",
            )
        return [
            f"jobs are kept in {os.path.abspath(store)}, on the runtime's own disk, and are gone when the runtime is; "
            f"to keep them on Google Drive, in a cell of the notebook:\n{_MOUNT_LINES}"
        ]

    def note(self, store: str) -> list[str]:
        """What the user is told at the start."""
        if self.on_drive(store):
            return [
                "jobs are on Google Drive, which uploads in the background: the last minutes before a runtime is "
                "taken away may not have arrived; the checkpoint before is used then"
            ]
        return []

    def parting(self, store: str) -> list[str]:
        """What the user is told when a session ends with something saved."""
        if self.on_drive(store):
            return [
                "Drive may still be uploading; to wait for it, in a cell, before the runtime is given up "
                "(it unmounts the Drive): drive.flush_and_unmount()"
            ]
        if self.name == "kaggle":
            return [f"{_KAGGLE} is kept with the notebook's version ('Save Version'), as the next one's input"]
        return []

    def on_drive(self, store: str) -> bool:
        """Whether a folder lies on a mounted Google Drive."""
        return "://" not in store and mounts.kind_of(store, self.mount_table) == mounts.DRIVE


def default_store() -> str:
    """Where jobs are kept on this machine if nobody says so."""
    return Place().default_store()


def _below(path: str, folder: str) -> bool:
    return os.path.abspath(path).startswith(folder.rstrip("/") + "/")


def _kaggle_elsewhere(store: str) -> str:
    return f"{os.path.abspath(store)} is not below {_KAGGLE}: Kaggle keeps nothing else when the session ends"
