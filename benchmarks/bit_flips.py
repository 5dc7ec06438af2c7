"""One bit of a checkpoint flips: who restores what was never saved, without a word?

    python benchmarks/bit_flips.py [--flips 300]

A network's weights and Adam's moments are saved three times over by each writer. Then one bit of a file is flipped, the
place drawn evenly over all bytes, and the writer's own reader is asked. Prints the table of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

import torch
from crash_states import SAVES, Writer, in_place, safetensors_writer, state, survivor_writer, torch_load


def outcome(writer: Writer, folder: Path) -> str:
    """What the reader gives."""
    try:
        found = writer.load(folder)
    # damaged files raise anything
    except Exception:
        return "refused"
    step = int(found["step"])
    known = state(step) if 1 <= step <= SAVES else {}
    right = known.keys() == found.keys() and all(torch.equal(known[name], found[name]) for name in known)
    if not right:
        return "restored wrong"
    return "restored right" if step == SAVES else "the one before was restored"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=300)
    options = parser.parse_args()
    kinds = ("restored wrong", "refused", "the one before was restored", "restored right")
    print(f"| reader | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for writer in (Writer("`torch.load`", in_place, torch_load), safetensors_writer(), survivor_writer()):
        chance, counts = random.Random(0), Counter[str]()
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for step in range(1, SAVES + 1):
                writer.save(folder, state(step))
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            sizes = [path.stat().st_size for path in files]
            for _ in range(options.flips):
                path = chance.choices(files, sizes)[0]
                whole = path.read_bytes()
                data = bytearray(whole)
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                path.write_bytes(data)
                counts[outcome(writer, folder)] += 1
                path.write_bytes(whole)
        print(f"| {writer.name} | {' | '.join(str(counts[kind]) for kind in kinds)} |", flush=True)


if __name__ == "__main__":
    main()
