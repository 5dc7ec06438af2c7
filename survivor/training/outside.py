"""What a script's set-up takes in from outside: the clock, random seeds of the system, process numbers.

A resumed session runs the set-up again. If it took another time stamp for a seed or a folder's name it
would set up another run. So the values that the user's code gets from such calls before it trains are
noted in the checkpoint, by place and order, and given again. Only plain values are; once training has
begun nothing is noted, since variables are carried then.

A path that did not exist when the job began and is a folder now was made by the job: it is said not to
exist, so that ``while os.path.exists(f"run{n}")`` finds the same number. A file that exists now is never
denied, and one that is gone is never promised: a cache that was filled may be used, one that is missing
on this machine is filled again.
"""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import torch

from survivor.state import atoms, rng

_MOST = 2000
_NUMPY = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)


class Outside:
    """The values noted, by the place of the call, in order.

    Attributes:
        log: place to the references of its values.
        closed: training has begun (or the replay is over): nothing more is noted or given.
    """

    def __init__(self) -> None:
        self.log: dict[str, list[Any]] = {}
        self.closed = False
        self._given: dict[str, list[Any]] = {}
        self._count = 0

    def replay(self, log: dict[str, list[Any]]) -> None:
        """From now on give what a checkpoint has noted."""
        self.log = log
        self._given = {place: list(values) for place, values in log.items()}
        self._count = _MOST

    def noted(self, place: str, value: Any) -> Any:
        """The value, or the one that stood in its place when the job began."""
        if self._given.get(place):
            return _recall(self._given[place].pop(0), value)
        self._note(place, _reference(value))
        return value

    def seeded(self, place: str, value: Any) -> Any:
        """The generator (or the result of ``seed()``), in the state that it was given when the job began."""
        if self._given.get(place):
            _set_states(value, self._given[place].pop(0))
        else:
            self._note(place, _states(value))
        return value

    def _note(self, place: str, reference: Any) -> None:
        if self._count < _MOST and reference is not None:
            self._count += 1
            self.log.setdefault(place, []).append(reference)


def _reference(value: Any) -> Any:
    if isinstance(value, time.struct_time):
        return {"struct_time": list(value)}
    if isinstance(value, list):
        return {"list": value} if all(type(item) is str for item in value) else None
    return {"atom": atoms.encode_atom(value)} if atoms.is_atom(value) else None


def _recall(noted: dict[str, Any], value: Any) -> Any:
    if "struct_time" in noted:
        return time.struct_time(noted["struct_time"])
    if "list" in noted:
        return value if not isinstance(value, list) else _listing(noted["list"], value)
    recalled = atoms.decode_atom(noted["atom"])
    if isinstance(recalled, bool) and isinstance(value, bool):
        return recalled and value
    return recalled


def _listing(before: list[str], now: list[str]) -> list[str]:
    """A folder's listing as it was, as far as that is still there."""
    present = set(now)
    return [name for name in before if name in present] if before else now


def _states(value: Any) -> Any:
    if isinstance(value, _NUMPY):
        bits = rng.bits_of(value)
        return {"numpy": _plain(bits.state)}
    if isinstance(value, random.Random):
        version, words, gauss = value.getstate()
        return {"python": [version, list(words), gauss]}
    return {
        "global": [
            _states(random._inst),
            _states(np.random.mtrand._rand),
            torch.get_rng_state().tolist(),
        ]
    }


def _set_states(value: Any, states: dict[str, Any]) -> None:
    if "numpy" in states and isinstance(value, _NUMPY):
        bits = rng.bits_of(value)
        bits.state = _plain(states["numpy"], back=True)
    elif "python" in states and isinstance(value, random.Random):
        version, words, gauss = states["python"]
        value.setstate((version, tuple(words), gauss))
    elif "global" in states:
        python, numpy_state, torch_state = states["global"]
        _set_states(random._inst, python)
        _set_states(np.random.mtrand._rand, numpy_state)
        torch.set_rng_state(torch.tensor(torch_state, dtype=torch.uint8, device="cpu"))


def _plain(state: Any, *, back: bool = False) -> Any:
    """A bit generator's state with its integers as text, since they may be larger than JSON's, or ``back``."""
    if isinstance(state, dict):
        return {name: _plain(item, back=back) for name, item in state.items()}
    if back:
        if isinstance(state, list):
            return np.array(state, dtype=np.uint64) if state and state[0] >= 0 else state
        return int(state[1:]) if isinstance(state, str) and state[:1] == "#" else state
    if isinstance(state, np.ndarray):
        return state.tolist()
    return f"#{state}" if isinstance(state, int) else state
