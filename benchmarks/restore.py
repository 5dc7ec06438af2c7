"""A checkpoint of 1 GB back into a model that the script has built, beside reading its bytes and copying them once.

    python benchmarks/restore.py [--mb 1000] [--rounds 5] [--out docs/charts]

All files lie in the page cache, so this is what each way does with processor and memory; a cold disk adds the same
to all. Each measurement is a process of its own, since the first touch of memory is a good part of the work.
survivor's way is that of a resumed session: the newest checkpoint is found, read and checked against its digests, and
its state is paired with the live model and copied into it.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jobs import MB
from measure import Result, Table, apart, median, options, publish, ratios, seconds, spread, turns
from safetensors.torch import load_file, save_file
from torch import nn

from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Snapshot
from survivor.state.decode import Decoder
from survivor.state.encode import Encoder
from survivor.state.scope import Scope

_LAYERS = 16


def build(size_bytes: int, fill: float) -> nn.Module:
    """A model of that size, all its memory touched."""
    side = int((size_bytes / _LAYERS / 4) ** 0.5)
    model = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(_LAYERS)))
    for parameter in model.parameters():
        nn.init.constant_(parameter, fill)
    return model


def save_all(folder: Path, model: nn.Module) -> None:
    """The same state in each form."""
    torch.save(model.state_dict(), folder / "torch.pt")
    save_file(model.state_dict(), folder / "safe.safetensors")
    (folder / "raw").write_bytes(b"".join(p.detach().numpy().tobytes() for p in model.parameters()))
    encoder = Encoder(Scope(folder))
    reference = encoder.ref(model, -1, "model")
    blobs = encoder.finish()
    snapshot = Snapshot(document=[reference, encoder.nodes], blobs=blobs, step=1, position="")
    Repository.open(folder, "job").commit(snapshot, session=1, token=1)


def by_survivor(folder: Path, model: nn.Module) -> None:
    """As in a resumed session."""
    found = Repository.open(folder, "job").newest(load=True)
    assert found is not None
    reference, nodes = found.document
    decoder = Decoder(nodes, found.blobs(), Scope(folder))
    decoder.pair(reference, model)
    decoder.settle()
    assert decoder.value(reference) is model


def by_bytes(folder: Path, model: nn.Module) -> None:
    """Read all bytes into memory, and copy them once."""
    data = memoryview(bytearray((folder / "raw").stat().st_size))
    with (folder / "raw").open("rb", buffering=0) as file, torch.no_grad():
        done = 0
        while done < len(data):
            done += file.readinto(data[done:])
        flat, start = torch.frombuffer(data, dtype=torch.float32), 0
        for parameter in model.parameters():
            parameter.view(-1).copy_(flat[start : start + parameter.numel()])
            start += parameter.numel()


def by_warm_bytes(folder: Path, model: nn.Module) -> None:
    """The same by 4 MB that are used again and again: no memory is touched first."""
    part = memoryview(bytearray(4 << 20))
    with (folder / "raw").open("rb", buffering=0) as file, torch.no_grad():
        for parameter in model.parameters():
            flat, done = parameter.view(-1), 0
            while done < flat.numel():
                count = file.readinto(part[: (flat.numel() - done) * 4]) // 4
                flat[done : done + count].copy_(torch.frombuffer(part, dtype=torch.float32)[:count])
                done += count


def by_torch(folder: Path, model: nn.Module) -> None:
    """``torch.load(mmap=True)``."""
    model.load_state_dict(torch.load(folder / "torch.pt", mmap=True))


def by_safetensors(folder: Path, model: nn.Module) -> None:
    """safetensors' ``load_file``."""
    model.load_state_dict(load_file(folder / "safe.safetensors"))


def one(size_bytes: int, way: Callable[[Path, nn.Module], None], folder: Path) -> float:
    """Seconds for one restore, checked."""
    model = build(size_bytes, 0.0)
    took = seconds(partial(way, folder, model))
    assert all(bool((p == 1.5).all()) for p in model.parameters()), "not what was saved"
    return took


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=5, mb=1000)
    if args.small:
        args.rounds, args.mb = 1, 10
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    ways = {
        "reading the bytes and one copy": by_bytes,
        "the same through a small buffer": by_warm_bytes,
        "survivor, digests checked": by_survivor,
        "torch.load(mmap=True)": by_torch,
        "safetensors load_file": by_safetensors,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_all(folder, build(args.mb * MB, 1.5))
        calls = {label: partial(apart, one, args.mb * MB, way, folder) for label, way in ways.items()}
        found = turns(args.rounds, calls)
    limit = found["reading the bytes and one copy"]
    rows = [[label, spread(values), spread(ratios(values, limit))] for label, values in found.items()]
    table = Table([f"{args.mb} MB into a built model, from the page cache", "seconds", "over bytes and one copy"], rows)
    bars = [[label, median(r := ratios(v, limit)), min(r), max(r)] for label, v in found.items()]
    title = f"Restore of {args.mb} MB into a built model"
    chart = {"kind": "bars", "title": title, "label": "time / (bytes read + one copy)", "bars": bars, "target": 1.3}
    publish(Result("restore", [table], chart), args.out)


if __name__ == "__main__":
    main()
