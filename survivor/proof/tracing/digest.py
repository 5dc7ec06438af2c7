"""Digests of values: equal where the bits are, on every machine and in every process."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import xxhash

#: What a traced path of the file system is written as, so that runs in different folders compare.
WORK = "<work>"


class Digests:
    """Digests of tensors and plain values.

    Args:
        home: the working folder of this run; strings that name it are taken as equal to those of other runs.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._known: dict[int, tuple[Any, str]] = {}  # of one event, within which nothing changes

    def forget(self) -> None:
        """Time has passed: what was digested may have changed."""
        self._known.clear()

    def plain(self, value: Any) -> str:
        """Of an atom, or of a list of atoms."""
        text = f"{type(value).__name__}:{value!r}"
        if self._home and self._home in text:
            text = text.replace(self._home, WORK)
        return str(xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass")))

    def tensor(self, value: Any) -> str:
        """Of a tensor's dtype, shape and bits."""
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        header, data = tensor_bytes(value)
        hasher = xxhash.xxh3_64(header.encode())
        hasher.update(data)
        found = str(hasher.hexdigest())
        self._known[id(value)] = (value, found)
        return found

    def array(self, value: Any) -> str:
        """Of an ndarray's dtype, shape and bytes."""
        hasher = xxhash.xxh3_64(f"{value.dtype.str}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data if value.size else b"")
        return str(hasher.hexdigest())


def tensor_bytes(value: Any) -> tuple[str, Any]:
    """A tensor's header (dtype, shape, whether it wants a gradient) and its bytes in logical order."""
    import torch

    # of parameters only: what hangs on a graph is carried detached, and whoever needs the graph again will see
    wants = value.requires_grad if isinstance(value, torch.nn.Parameter) else ""
    header = f"{value.dtype}{tuple(value.shape)}{wants}"
    if value.is_meta or value.is_nested:
        return header, b""
    value = value.detach()
    if value.layout is not torch.strided:
        value = value.to_dense()
    if value.is_quantized:
        value = value.dequantize()
    # a copy, since numpy() forbids a storage for good to be resized
    flat = value.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).clone()
    return header, flat.view(torch.uint8).numpy().data if flat.numel() else b""


def joined(parts: list[str]) -> str:
    """One digest of several, in their order."""
    return str(xxhash.xxh3_64_hexdigest("|".join(parts).encode()))


def stream_states() -> dict[str, Any]:
    """The states of the process's global random streams, by name, as something that can be digested."""
    import torch

    legacy = np.random.get_state(legacy=False)
    states: dict[str, Any] = {
        "python": np.array(random.getstate()[1], dtype=np.uint64),
        "numpy": np.append(legacy["state"]["key"], [legacy["state"]["pos"], legacy["has_gauss"]]),
        "torch": torch.get_rng_state().numpy(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = np.concatenate([state.numpy() for state in torch.cuda.get_rng_state_all()])
    return states


def streams() -> dict[str, str]:
    """A digest of each global random stream."""
    return {name: str(xxhash.xxh3_64_hexdigest(state.tobytes())) for name, state in stream_states().items()}


def generator_state(value: Any) -> Any:
    """The state of a generator of random numbers as text or bytes; ``None`` if it is none, or has no state."""
    import torch

    if isinstance(value, random.SystemRandom):
        return None
    if isinstance(value, random.Random):
        return repr(value.getstate())
    if isinstance(value, np.random.RandomState):
        return repr({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in _flat(value.get_state(False))})
    if isinstance(value, (np.random.Generator, np.random.BitGenerator)):
        bits = value.bit_generator if isinstance(value, np.random.Generator) else value
        return repr([(k, v.tolist() if isinstance(v, np.ndarray) else v) for k, v in _flat(bits.state)])
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    return None


def _flat(state: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, item in state.items():
        found += _flat(item) if isinstance(item, dict) else [(name, item)]
    return found
