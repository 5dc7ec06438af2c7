"""Every kind of value that a training script may hold goes through a job folder and comes back as it was."""

import struct
from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Snapshot
from survivor.state.decode import Decoder
from survivor.state.encode import Encoder
from survivor.state.scope import Scope

DTYPES = sorted({d for d in vars(torch).values() if isinstance(d, torch.dtype)}, key=str)
#: Of these torch itself makes no ordinary tensor, or they are not yet usable.
QUANTIZED = {torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4}


def through(folder, value, step=1):
    """Encode, commit, read back by another reader, decode."""
    encoder = Encoder(Scope(Path("/nowhere")))
    reference = encoder.ref(value, -1, "value")
    blobs = encoder.finish()
    snapshot = Snapshot(document=[reference, encoder.nodes], blobs=blobs, step=step, position="")
    Repository.open(folder, "job").commit(snapshot, session=1, token=1)
    found = Repository.open(folder, "job").newest(load=True)
    reference, nodes = found.document
    return Decoder(nodes, found.blobs(), Scope(Path("/nowhere"))).value(reference), encoder


def raw(tensor):
    return (
        bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()) if tensor.numel() else b""
    )


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in QUANTIZED], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 5)], ids=str)
def test_tensors_of_every_dtype_keep_their_bits(ram, dtype, shape):
    count = int(np.prod(shape)) * dtype.itemsize
    chance = torch.Generator().manual_seed(7)
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (max(count, dtype.itemsize),), generator=chance)
    tensor = bits.to(torch.uint8).view(dtype)[: int(np.prod(shape))].reshape(shape)
    back, _ = through(ram, tensor)
    assert back.dtype == dtype and back.shape == tensor.shape
    assert raw(back) == raw(tensor)


def test_a_quantized_tensor_is_named_and_not_carried():
    encoder = Encoder(Scope(Path("/nowhere")))
    encoder.ref([torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)], -1, "weights")
    (number,) = encoder.opaque
    assert encoder.path(number) == "weights[0]"


def test_shared_memory_is_stored_once_and_shared_again(ram):
    base = torch.arange(1000.0)
    held = {"base": base, "row": base[10:20], "again": base, "array": base.numpy()[5:8]}
    back, _ = through(ram, held)
    (pack,) = (ram / "job/packs").iterdir()
    assert sum(t.nbytes for t in load_file(pack).values()) == base.nbytes
    assert back["again"] is back["base"]
    back["base"][12] = -1.0
    assert back["row"][2] == -1.0


def test_views_keep_their_values_and_strides(ram):
    matrix = torch.arange(24.0).reshape(4, 6)
    views = [matrix.t(), matrix[:, ::2], matrix.flip(0), torch.ones(1).expand(5), torch.zeros(2, 3, 4, 5).contiguous(
        memory_format=torch.channels_last)]  # fmt: skip
    back, _ = through(ram, views)
    assert all(torch.equal(one, other) for one, other in zip(views, back, strict=True))
    assert back[-1].is_contiguous(memory_format=torch.channels_last)
    assert back[0].stride() == views[0].stride()


def test_a_view_of_few_of_many_bytes_does_not_store_them_all(ram):
    huge = torch.zeros(1_000_000)
    back, _ = through(ram, [huge[5:8]])
    assert back[0].tolist() == [0, 0, 0]
    assert sum(path.stat().st_size for path in ram.rglob("*") if path.is_file()) < 5000


def test_the_payload_of_a_nan_survives(ram):
    payload = struct.unpack("<f", struct.pack("<I", 0x7FC12345))[0]
    tensor = torch.tensor([0x7FC12345, 0x7F800000, -0x800000, 1], dtype=torch.int32).view(torch.float32)
    back, _ = through(ram, [tensor, payload])
    assert raw(back[0]) == raw(tensor)
    assert back[1] != back[1]


@pytest.mark.parametrize(
    "value",
    [
        1 << 200, -(1 << 64), (1 << 63) - 1, 0.1, -0.0, float("inf"), float("-inf"), "\ud800 lone", "text \0 \U0001f600",
        b"\0\xff", 3 + 4j, None, True, range(3, 1 << 70), (), (1, (2, [3])), {(1, "a"): [1], 2: "b", None: 0, 1.5: 1},
        OrderedDict(b=1, a=2), deque([1, 2], maxlen=2), frozenset({1}), {1, 2}, bytearray(b"x"), Path("/x"), torch.float16,
        np.float32(1.5), np.int64(-3), np.bool_(True), np.datetime64("2026-01-01"), np.float16("nan").tobytes(),
    ],
    ids=repr,
)  # fmt: skip
def test_values_come_back_equal_and_of_their_type(ram, value):
    back, encoder = through(ram, [value])
    assert type(back[0]) is type(value) and repr(back[0]) == repr(value)
    assert not encoder.opaque


@pytest.mark.parametrize("array", [
    np.arange(6, dtype=">i4").reshape(2, 3), np.array(["a", "bc"]), np.zeros(0), np.array(5.0), np.asfortranarray(
    np.arange(6.0).reshape(2, 3)), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), np.arange(10)[::-2],
    np.array(["2026-01-01"], dtype="datetime64[D]"), np.arange(4, dtype=np.complex64), np.array([None, 1], dtype=object),
], ids=lambda a: a.dtype.str)  # fmt: skip
def test_arrays_come_back_with_their_type_and_order(ram, array):
    back, _ = through(ram, [array])
    assert back[0].dtype == array.dtype and back[0].shape == array.shape
    assert back[0].tolist() == array.tolist()
    if min(array.strides, default=0) >= 0:
        assert back[0].flags.f_contiguous == array.flags.f_contiguous


def test_with_a_frozen_base_of_99_percent_the_second_checkpoint_writes_about_one(ram):
    base, head = torch.randn(990_000), torch.randn(10_000)
    through(ram, {"base": base, "head": head}, step=1)
    head += 1
    through(ram, {"base": base, "head": head}, step=2)
    first, second = Repository.open(ram, "job").list()
    assert first.new_bytes > 4_000_000
    assert second.size_bytes == 4_000_000 and second.new_bytes < 41_000
