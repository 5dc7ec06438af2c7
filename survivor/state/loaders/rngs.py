"""Random number generators by value: read, compare, set, and make again.

A state is plain data: bytes for torch, the tuple of ``getstate`` for ``random.Random``, the state dict
for NumPy. The global streams of a process have the names ``python``, ``numpy`` and ``torch``.
"""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import torch

State = Any
GLOBAL = ("python", "numpy", "torch")
#: Holders of a state that may sit in an attribute of a data set or a sampler.
KINDS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_MT19937_BYTES = 624 * 4 + 4  # the key and the position in it


def same(a: State, b: State) -> bool:
    """Whether two states are equal; NumPy's hold arrays, for which ``==`` is no answer."""
    if a is b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if type(a) is not type(b) or isinstance(a, (np.ndarray, torch.Tensor)):
        return False
    return bool(a == b)


def tensor_bytes(state: torch.Tensor) -> bytes:
    """The bytes of a generator's state."""
    return state.numpy().tobytes()


def byte_tensor(state: bytes) -> torch.Tensor:
    """The inverse of `tensor_bytes`."""
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


class _NumpyLegacy:
    """NumPy's global generator, which takes 30 µs to say that nothing has happened.

    Its key and position are therefore compared in memory first. A normal deviate that is kept for the
    next call is not in that memory, so a state that holds one is always read in full.
    """

    def __init__(self) -> None:
        self._generator: Any = None
        self._memory = b""
        self._address = 0
        self._state: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        generator = np.random.mtrand._rand._bit_generator
        if generator is not self._generator:
            self._generator, self._address = generator, self._find(generator)
            self._memory = b""
        if not self._address:
            return dict(np.random.get_state(legacy=False))
        memory = ctypes.string_at(self._address, _MT19937_BYTES)
        if memory != self._memory or self._state["has_gauss"]:
            self._memory, self._state = memory, dict(np.random.get_state(legacy=False))
        return self._state

    @staticmethod
    def _find(generator: Any) -> int:
        if not isinstance(generator, np.random.MT19937):
            return 0
        address = int(generator.ctypes.state_address)
        state = generator.state["state"]
        expected = state["key"].tobytes() + int(state["pos"]).to_bytes(4, "little")
        return address if ctypes.string_at(address, _MT19937_BYTES) == expected else 0


_numpy_legacy = _NumpyLegacy()


def read_global() -> dict[str, State]:
    """The states of this process's global streams on the CPU."""
    return {
        "python": random.getstate(),
        "numpy": _numpy_legacy.read(),
        "torch": tensor_bytes(torch.default_generator.get_state()),
    }


def write_global(states: dict[str, State]) -> None:
    """Set those global streams that ``states`` names."""
    if "python" in states:
        version, words, gauss = states["python"]
        random.setstate((version, tuple(words), gauss))
    if "numpy" in states:
        np.random.set_state(states["numpy"])
    if "torch" in states:
        torch.default_generator.set_state(byte_tensor(states["torch"]))


def is_private(value: Any) -> bool:
    """Whether a value is a generator that is not one of the process's global streams."""
    if not isinstance(value, KINDS) or isinstance(value, random.SystemRandom):
        return False
    return not (value is torch.default_generator or value is random._inst or value is np.random.mtrand._rand)


def read(generator: Any) -> dict[str, State]:
    """A generator's kind and state."""
    if isinstance(generator, random.Random):
        return {"rng": "python", "state": generator.getstate()}
    if isinstance(generator, np.random.Generator):
        return {"rng": "numpy", "state": generator.bit_generator.state}
    if isinstance(generator, np.random.RandomState):
        return {"rng": "numpy-legacy", "state": generator.get_state(legacy=False)}
    return {"rng": "torch", "state": tensor_bytes(generator.get_state())}


def is_state(value: Any) -> bool:
    """Whether a value is what `read` gives."""
    return isinstance(value, dict) and value.keys() == {"rng", "state"}


def write(generator: Any, saved: dict[str, State]) -> bool:
    """Set a generator in place; ``False`` if the state belongs to another kind of generator."""
    kind, state = saved["rng"], saved["state"]
    if kind == "python" and isinstance(generator, random.Random):
        generator.setstate((state[0], tuple(state[1]), state[2]))
    elif kind == "numpy" and isinstance(generator, np.random.Generator):
        if generator.bit_generator.state["bit_generator"] != state["bit_generator"]:
            return False
        generator.bit_generator.state = state
    elif kind == "numpy-legacy" and isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif kind == "torch" and isinstance(generator, torch.Generator):
        generator.set_state(byte_tensor(state))
    else:
        return False
    return True


def make(saved: dict[str, State]) -> Any:
    """A new generator with that state, for an attribute that is filled on first use; ``None`` if unknown."""
    kind, state = saved["rng"], saved["state"]
    generator: Any = None
    if kind == "python":
        generator = random.Random()
    elif kind == "numpy-legacy":
        generator = np.random.RandomState()
    elif kind == "numpy" and state["bit_generator"] in _BIT_GENERATORS:
        generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
    elif kind == "torch":
        generator = torch.Generator()
    return generator if generator is not None and write(generator, saved) else None
