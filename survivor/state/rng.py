"""The random number generators of a process, read and set bit for bit.

The global streams are Python's ``random``, NumPy's legacy generator, and torch's default generator of
the CPU and of each CUDA device that is in use. States are plain values, ndarrays and byte tensors.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from survivor.errors import FormatError

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def read_all() -> dict[str, Any]:
    """The states of all global streams of this process."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = list(torch.cuda.get_rng_state_all())
    return state


def write_all(state: dict[str, Any]) -> None:
    """Set the global streams to states that `read_all` gave, perhaps in another process."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    for device, cuda_state in enumerate(state.get("cuda", ())):
        if device < torch.cuda.device_count():
            torch.cuda.set_rng_state(cuda_state, device)


def bits_of(generator: Any) -> Any:
    """The bit generator below one of NumPy's generators."""
    if isinstance(generator, np.random.RandomState):
        return generator._bit_generator
    return generator.bit_generator if isinstance(generator, np.random.Generator) else generator


def bits_name(generator: Any) -> str:
    """Its algorithm, such as ``PCG64``."""
    return type(bits_of(generator)).__name__


def new_numpy(kind: str, bits: str) -> Any:
    """A new generator: ``Generator``, ``RandomState``, or the bit generator alone for any other ``kind``.

    Raises:
        FormatError: there is no such bit generator.
    """
    if bits not in _BIT_GENERATORS:
        raise FormatError(f"unknown NumPy bit generator {str(bits)[:80]!r}")
    made = getattr(np.random, bits)()
    around: dict[str, Any] = {"Generator": np.random.Generator, "RandomState": np.random.RandomState}
    return around[kind](made) if kind in around else made
