"""Coverage-guided fuzzing of everything that reads a job folder, for a bounded time.

    pip install '.[benchmarks]'
    python benchmarks/fuzz_parsers.py [--seconds 60] [--corpus FOLDER]

An input is one byte that chooses a parser, and what it reads. Seals and frames are put around it so that they hold:
otherwise no input would ever come past the digest. Each parser must answer or raise ``StoreError``; anything else,
more than 2 GiB or ten seconds for an input is a finding, which ends the run with a code that is not 0. Needs atheris.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import struct
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/checkpoint"))
with atheris.instrument_imports(include=["survivor"]):
    from survivor.checkpoint import envelope, lease, manifest, pack
    from survivor.checkpoint.checking import check_job
    from survivor.checkpoint.job import JobRecord, SessionRecord
    from survivor.checkpoint.names import parse_stamp
    from survivor.checkpoint.repository import Repository
    from survivor.checkpoint.snapshot import Blob
    from survivor.errors import StoreError, UsageError
    from survivor.training.export import states_of

from disk import Image

NAME = "00000001-0000000001-01-0123abcd"
#: Kind of envelope, name, and place in the folder, by number of the parser.
PLACES = {
    1: ("manifest", NAME, "checkpoints"),
    2: ("job", "000001-0123abcd", "job"),
    3: ("session", "000001", "sessions"),
    4: ("session-end", "000001.end", "sessions"),
    5: ("lease", "00000001", "leases"),
    6: ("lease-beat", "00000001.beat", "leases"),
    7: ("lease-end", "00000001.end", "leases"),
}
#: What a forger might put in the place of a value or a name.
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 1 << 31, 1 << 63, -(1 << 63), 1 << 70, 10**400, 0.5, 1e308, "", "x", "a" * 1100,
    "nan", "0" * 32, "F4", "F32", "../../etc/passwd", "\ud800", "\0", [], {}, [0], [1], [4], [[]], [[0]], [{}], [None],
    {"": 0}, {"x": [0]}, {"~": ["int", "0x10"]}, {"~": ["pattern", "(", 0]}, {"~": []}, ["dict", None, [], [], None],
    ["list", None, [[0], [0]], []], ["tensor", None, {}], ["object", "a:b", [["state", [0]]]], ["stateful", "a:b", [0]],
]  # fmt: skip
ODD_NAMES = ["", "x", "__metadata__", "blobs", "document", "nodes", "levels", "_modules", "state", "~", "name", "step"]
RAW, PACK, DOCUMENT = 0, 8, 9
PARSERS = 10


def framed(kind: str, name: str, head: bytes, body: bytes) -> bytes:
    """An envelope whose frame is right, whatever is in it."""
    first = {"survivor": kind, "version": 1, "name": name, "encoding": "json", "size": len(body)}
    text = json.dumps(first).encode()[:-1] + b', "head": ' + head + b"}"
    content = text + b"\n" + body + b"\n"
    return content + b'{"sha256": "%s"}\n' % hashlib.sha256(content).hexdigest().encode()


def read_folder(files: dict[str, bytes]) -> None:
    """All that opens a job folder."""
    repository = Repository(Image(files), "job")
    for read in (
        repository.newest, repository.list, lambda: JobRecord.read(repository), lambda: check_job(repository),
        lambda: SessionRecord.read_all(repository), lambda: lease.live_holder(repository.store, "job"),
    ):  # fmt: skip
        try:
            read()
        except StoreError:
            continue


def read_document(text: bytes) -> None:
    """What ``survivor export`` makes of a document."""
    document = envelope.parse(text, "document")
    blobs = {"w": Blob(name="w", dtype="U8", shape=(64,), data=memoryview(bytearray(64)))}
    checkpoint: Any = SimpleNamespace(document=document, blobs=lambda: blobs, info=SimpleNamespace(name="x"))
    states_of(checkpoint)


def one_input(data: bytes) -> None:
    """Feed one input to one parser."""
    if not data:
        return
    number, rest = data[0] % PARSERS, data[1:]
    head, _, body = rest.partition(b"\n")
    try:
        if number == RAW:
            read_folder({f"job/checkpoints/{NAME}.json": rest})
            stamp = parse_stamp(NAME)
            assert stamp is not None
            manifest.read(stamp, memoryview(rest), "fuzzed").body()
        elif number == PACK:
            header = struct.pack("<Q", len(head)) + head
            pack.header_bytes(memoryview(header), "fuzzed")
            pack.read_header(NAME, memoryview(header), len(header) + len(body), "fuzzed")
            read_folder({f"job/packs/{NAME}.safetensors": header + body})
        elif number == DOCUMENT:
            read_document(rest)
        else:
            kind, name, place = PLACES[number]
            data = framed(kind, name, head, body)
            read_folder({f"job/{place}/{name}.json": data})
    except (StoreError, UsageError):
        return


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change a value somewhere in the JSON, so that it stays JSON; sometimes, and where it is none, any bytes."""
    chance = random.Random(seed)
    lines = data[1:].split(b"\n", 1)
    try:
        values = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        values = []
    if not values or chance.random() < 0.2:
        return bytes(atheris.Mutate(data, max_size))
    for _ in range(chance.randrange(1, 4)):
        which = chance.randrange(len(values))
        values[which] = changed(values[which], chance)
    return (data[:1] + b"\n".join(json.dumps(value).encode() for value in values))[:max_size]


def changed(value: Any, chance: random.Random) -> Any:
    """The same JSON with one value in it replaced, removed or doubled."""
    if isinstance(value, (dict, list)) and value and chance.random() < 0.85:
        key: Any = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        act = chance.random()
        if act < 0.1:
            del value[key]
        elif act < 0.2 and isinstance(value, list):
            value.insert(key, value[chance.randrange(len(value))])
        elif act < 0.2:
            value[chance.choice(ODD_NAMES)] = value[key]
        else:
            value[key] = changed(value[key], chance)
        return value
    return json.loads(json.dumps(chance.choice(ODD_VALUES)))


def seeds(folder: Path) -> None:
    """What real files hold, to begin with."""
    reference = {"name": NAME, "size": 1000, "header": 100, "digest": "0" * 32}
    heads: dict[int, tuple[Any, Any]] = {
        1: ({"token": 1, "step": 1, "session": 1, "position": "epoch 1", "time": 1.5, "metrics": {"loss": "nan"},
             "origin": {}, "size": 8, "written": 8, "count": 1, "packs": [reference]},
            {"blobs": {"x": ["F32", [2], 0, 100, "0" * 32]}, "document": {"kind": "training"}}),
        2: ({"argv": ["train.py"], "script": "train.py", "folder": "/", "hash_seed": 1, "python": "3.11",
             "created": 1.0, "finished": False, "extra": {}}, {"source": "pass", "modules": {"a.py": ""}}),
        3: ({"number": 1, "host": "h", "user": "u", "pid": 1, "started": 1.0}, {"fingerprint": {}}),
        4: ({"ended": 2.0, "reason": "done"}, {"result": {}}),
        5: ({"token": 1, "session": 1, "host": "h", "user": "u", "pid": 1, "boot": "b", "born": 1.0, "since": 1.0,
             "ttl_s": 300.0}, {}),
        6: ({"time": 1.0, "count": 1}, {}),
        7: ({"time": 1.0}, {}),
        PACK: ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "__metadata__": {"survivor": "pack", "version": "1", "name": NAME, "digests": '{"x": "00"}'}}, {}),
    }  # fmt: skip
    for number, (head, body) in heads.items():
        text = bytes([number]) + json.dumps(head).encode() + b"\n" + json.dumps(body).encode()
        (folder / f"seed-{number}").write_bytes(text)
    level = {"chain": [], "frames": [], "iterator": None, "tracked": [], "result": None, "rng": None,
             "modules": [{"module": "__main__", "names": ["o"], "variables": [["o", [0]], ["s", [4]]]}],
             "nodes": [["object", "torch.optim.sgd:SGD", [["state", [1]], ["param_groups", [2]], ["defaults", [1]]]],
                       ["dict", None, [], [], None], ["list", None, [[3]], []],
                       ["dict", None, [["lr", 0.1], ["params", [2]]], [], None],
                       ["object", "m:M", [["_parameters", [5]], ["_buffers", [1]], ["_modules", [1]],
                                          ["_non_persistent_buffers_set", None]]],
                       ["dict", None, [["weight", [6]]], [], None],
                       ["tensor", "torch.nn.parameter:Parameter",
                        {"requires_grad": True, "leaf": True, "dtype": "torch.float32", "shape": [2, 4],
                         "device": "cpu", "conj": False, "neg": False, "stride": [16, 4], "blob": "w",
                         "offset": 0}]]}  # fmt: skip
    document = {"kind": "training", "levels": [level], "ended": [[]]}
    (folder / "seed-document").write_bytes(bytes([DOCUMENT]) + json.dumps(document).encode())
    (folder / "seed-raw").write_bytes(bytes([RAW]) + framed("manifest", NAME, b"{}", b"{}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="keep what was found to go on from later")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        corpus = options.corpus or Path(made)
        corpus.mkdir(exist_ok=True)
        seeds(corpus)
        words = [f"-max_total_time={options.seconds}", "-rss_limit_mb=2048", "-timeout=10", "-max_len=8192"]
        words += ["-print_final_stats=1", f"-artifact_prefix={options.corpus or '.'}/", str(corpus)]
        atheris.Setup([sys.argv[0], *words], one_input, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
