"""What a kill or a power cut can leave of a checkpoint, for survivor's writer and for its peers.

    pip install '.[benchmarks]'; apt-get install fuse3 libfuse2
    python benchmarks/crash_states.py [--torn 12]

Each writer saves three states under one name on a recording FUSE file system (``tests/checkpoint/recorder.py``).
From the log every state is rebuilt that a kill (all done so far is there, the write under way in part) or a power
cut (of what was not synced, bytes and names may be lost) can leave, and is opened by the writer's own reader.
Bad is a state that can't be read, that reads as something which was never saved (wrong), that is older than a
save which had returned (old), or where nothing is left of it (lost). Prints the table of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/checkpoint"))
from disk import distinct_states
from recorder import acknowledge, recorded, why_not

SAVES = 3
Save = Callable[[Path, dict[str, torch.Tensor]], None]
Load = Callable[[Path], dict[str, torch.Tensor]]


def state(step: int) -> dict[str, torch.Tensor]:
    """What is saved: it can be told from all others, and from a mixture of them."""
    generator = torch.Generator().manual_seed(step)
    return {"weight": torch.randn(600, generator=generator), "moment": torch.randn(600, generator=generator),
            "step": torch.tensor(step)}  # fmt: skip


@dataclass(frozen=True)
class Writer:
    """A way to save and load; ``file`` is there once anything was saved."""

    name: str
    save: Save
    load: Load
    file: str = "model.pt"


def torch_load(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def in_place(folder: Path, content: dict[str, torch.Tensor]) -> None:
    torch.save(content, folder / "model.pt")


def replaced(folder: Path, content: dict[str, torch.Tensor], *, sync: bool = False, sync_folder: bool = False) -> None:
    with open(folder / "model.tmp", "wb") as file:
        torch.save(content, file)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(folder / "model.tmp", folder / "model.pt")
    if sync_folder:
        opened = os.open(folder, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)


def survivor_writer() -> Writer:
    from survivor.checkpoint.repository import Repository
    from survivor.checkpoint.snapshot import Blob, Snapshot

    kept: dict[Path, Repository] = {}

    def save(folder: Path, content: dict[str, torch.Tensor]) -> None:
        # two differing dtypes are enough; the numbers go in as bytes
        blobs = {
            name: Blob(name=name, dtype="U8", shape=(tensor.nbytes,), data=memoryview(tensor.numpy().tobytes()))
            for name, tensor in content.items()
        }
        step = int(content["step"])
        repository = kept.setdefault(folder, Repository.open(folder / "store", "job"))
        repository.commit(Snapshot(document={}, blobs=blobs, step=step, position=""), session=1, token=1)

    def load(folder: Path) -> dict[str, torch.Tensor]:
        found = Repository.open(folder / "store", "job").newest()
        if found is None:
            raise FileNotFoundError(folder)
        kinds = {"step": torch.int64}
        tensors = {
            name: torch.frombuffer(blob.data, dtype=kinds.get(name, torch.float32))
            for name, blob in found.blobs().items()
        }
        return tensors | {"step": tensors["step"].reshape(())}

    return Writer("survivor", save, load, "store/job/checkpoints")


def safetensors_writer() -> Writer:
    from safetensors.torch import load_file, save_file

    return Writer(
        "safetensors `save_file`",
        lambda folder, content: save_file(content, folder / "model.safetensors"),
        lambda folder: load_file(folder / "model.safetensors"),
        "model.safetensors",
    )


def accelerate_writer() -> Writer:
    from accelerate.utils import save

    return Writer("Accelerate `save`", lambda folder, content: save(content, str(folder / "model.pt")), torch_load)


def lightning_writer(temporary: str) -> Writer:
    from lightning.fabric import Fabric

    logging.getLogger("lightning").setLevel(logging.ERROR)
    fabric = Fabric(accelerator="cpu", devices=1)

    def save(folder: Path, content: dict[str, torch.Tensor]) -> None:
        # fsspec writes to the temporary folder and moves; across file systems, as from a disk to a mounted Drive,
        # a move is a copy
        before, tempfile.tempdir = tempfile.tempdir, temporary or str(folder)
        try:
            fabric.save(str(folder / "model.pt"), content)
        finally:
            tempfile.tempdir = before

    where = "temp folder on another file system" if temporary else "temp folder on the same one"
    return Writer(f"Lightning `Fabric.save`, {where}", save, torch_load)


def dcp_writer() -> Writer:
    import torch.distributed.checkpoint as dcp

    def save(folder: Path, content: dict[str, torch.Tensor]) -> None:
        dcp.save(content, checkpoint_id=folder / "dcp")

    def load(folder: Path) -> dict[str, torch.Tensor]:
        made = {name: torch.zeros_like(tensor) for name, tensor in state(0).items()}
        dcp.load(made, checkpoint_id=folder / "dcp")
        return made

    return Writer("DCP into one folder", save, load, "dcp/.metadata")


def writers() -> list[Writer]:
    made = [
        Writer("`torch.save` in place", in_place, torch_load),
        Writer("temp file + `os.replace`", replaced, torch_load),
        Writer("… + fsync", lambda f, c: replaced(f, c, sync=True), torch_load),
        Writer("… + fsync of the folder", lambda f, c: replaced(f, c, sync=True, sync_folder=True), torch_load),
    ]
    optional: list[Callable[[], Writer]] = [
        safetensors_writer, accelerate_writer, lambda: lightning_writer(""),
        lambda: lightning_writer(tempfile.gettempdir()), dcp_writer, survivor_writer,
    ]  # fmt: skip
    for make in optional:
        try:
            made.append(make())
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    return made


def record(writer: Writer, place: Path) -> list[tuple[Any, ...]]:
    """The log of three saves by this writer."""
    with recorded(place) as (mount, log):
        for step in range(1, SAVES + 1):
            writer.save(mount, state(step))
            acknowledge(mount, step)
    return log


def outcome(writer: Writer, folder: Path, acknowledged: int) -> str:
    """What the writer's reader makes of a folder that a crash left behind."""
    try:
        found = writer.load(folder)
    # anything can be raised by a reader of damaged files; DCP's errors are BaseExceptions
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        if isinstance(error, FileNotFoundError) or not (folder / writer.file).exists():
            return "lost" if acknowledged else "good"
        return "unreadable"
    step = int(found["step"])
    known = state(step) if 1 <= step <= SAVES else {}
    if known.keys() != found.keys() or not all(torch.equal(known[name], found[name]) for name in known):
        return "wrong"
    return "old" if step < acknowledged else "good"


def count(writer: Writer, log: list[tuple[Any, ...]], place: Path, torn: int) -> dict[str, Counter[str]]:
    """How many states of each outcome, by what caused them."""
    counts = {"kill": Counter[str](), "power cut": Counter[str]()}
    for files, acknowledged, cause in distinct_states(log, "", torn):
        folder = place / "state"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        counts[cause][outcome(writer, folder, acknowledged)] += 1
    return counts


def row(name: str, counts: dict[str, Counter[str]]) -> str:
    cells = [name]
    for cause in ("kill", "power cut"):
        found = counts[cause]
        bad = {kind: found[kind] for kind in ("unreadable", "wrong", "old", "lost") if found[kind]}
        detail = f" ({', '.join(f'{number} {kind}' for kind, number in bad.items())})" if bad else ""
        cells.append(f"{sum(bad.values())} of {found.total()}{detail}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torn", type=int, default=12, help="places at which a write is cut")
    parser.add_argument("--only", default="", help="writers whose name holds this")
    options = parser.parse_args()
    if why := why_not():
        sys.exit(f"no FUSE file system can be mounted here: {why}")
    warnings.simplefilter("ignore")
    print("| writer | bad after a kill | bad after a power cut |\n|---|---|---|")
    for writer in writers():
        if options.only not in writer.name:
            continue
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
            place = Path(made)
            log = record(writer, place)
            with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
                counts = count(writer, log, place, options.torn)
            print(row(writer.name, counts), flush=True)


if __name__ == "__main__":
    main()
