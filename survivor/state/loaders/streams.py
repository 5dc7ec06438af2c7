"""A stream of indices that can be replayed: what it drew from the random number generators, and when.

A sampler is code that draws when it pleases: most at the first index, some (with replacement, a user's
own) at any. Its draws depend on the state of the generators, which the training moves as well. So the
states *before* a draw are logged, if that draw moved a generator that somebody else had moved since the
stream's last draw; a replay sets them and draws. torch's samplers that only draw at the first index are
known by their exact class and are not watched after it: an index then costs a fraction of a microsecond.

Rejected: to keep the indices themselves (a sampler is a generator function, its frame can't be set), and
to keep one state (right for torch's samplers, silently wrong for one that draws at every index).
"""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data.dataloader import _InfiniteConstantSampler

from survivor.errors import DivergedError
from survivor.state.loaders import rngs

T = TypeVar("T")

#: Beyond this many logged states a stream is reported as not exact rather than fill the memory.
LOG_ENTRIES = 20_000
_QUIET = (
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    DistributedSampler,
    _InfiniteConstantSampler,
    list,
    tuple,
    range,
)


def is_quiet(sampler: Any) -> bool:
    """Whether a sampler draws from generators that others may move at its first index only."""
    if type(sampler) is BatchSampler:
        return is_quiet(sampler.sampler)
    if type(sampler) is RandomSampler:
        once = not sampler.replacement and sampler.num_samples <= len(sampler.data_source)
        return once or sampler.generator is None  # then it makes a generator of its own
    return type(sampler) in _QUIET


def advanced(sampler: Any, iterator: Iterator[Any], count: int) -> Iterator[Any]:
    """An iterator that stands ``count`` indices further than a new ``iterator`` of the sampler.

    May return the same one. Sequential samplers are skipped in constant time, batches of them too.

    Raises:
        DivergedError: the sampler has fewer indices.
    """
    if type(sampler) is SequentialSampler:
        _enough(count, len(sampler.data_source))
        return iter(range(count, len(sampler.data_source)))
    if type(sampler) is BatchSampler and is_quiet(sampler.sampler):
        inner = advanced(sampler.sampler, iter(sampler.sampler), count * sampler.batch_size)
        return iter(BatchSampler(inner, sampler.batch_size, sampler.drop_last))
    _enough(count, skip(iterator, count))
    return iterator


def skip(iterator: Iterator[Any], count: int) -> int:
    """Consume up to ``count`` items; return how many there were."""
    counter = itertools.count()
    deque(zip(itertools.islice(iterator, count), counter), maxlen=0)  # noqa: B905 - strict would draw one more
    return next(counter)


def _enough(count: int, found: int) -> None:
    if found < count:
        raise DivergedError(
            f"a sampler had given {count} indices when the job was saved, and has only {found} now",
            advice="run the job with the data set and the settings that it was started with",
        )


def fingerprint(index: Any) -> int | None:
    """A checksum of an index or a batch of them; ``None`` for what has no stable text."""
    if type(index) in (list, tuple):
        if not all(type(item) in (int, str) for item in index):
            return None
    elif type(index) not in (int, str):
        return None
    return zlib.crc32(repr(index).encode())


class Stream:
    """The draws of one iterator, from its making (or its reset) on.

    Attributes:
        log: ``[draw, {generator: state before it}]``; draw -1 is the making of the iterator.
        drawn: draws that gave an index.
        ended: whether a draw has found the end.
        last: the last index.
    """

    __slots__ = ("_after", "_generators", "drawn", "ended", "full", "last", "log", "quiet")

    def __init__(self, generators: dict[str, Any], *, quiet: bool) -> None:
        self._generators = generators
        self._after: dict[str, Any] = {}  # as this stream's own last move of each left it
        self.quiet = quiet
        self.log: list[Any] = []
        self.drawn = 0
        self.ended = False
        self.full = False
        self.last: Any = None

    def states(self) -> dict[str, Any]:
        """The states of all generators that are watched."""
        states = rngs.read_global()
        for path, generator in self._generators.items():
            states[path] = rngs.read(generator)
        return states

    def set_states(self, states: dict[str, Any]) -> None:
        """Set those generators that ``states`` names."""
        rngs.write_global(states)
        for path, generator in self._generators.items():
            if path in states:
                rngs.write(generator, states[path])

    def begin(self) -> None:
        """Note the states of this moment: the iterator is made or reset now."""
        self.log = [[-1, self.states()]]
        self.drawn, self.ended, self.last, self._after = 0, False, None, {}

    def draw(self, advance: Callable[..., T], *arguments: Any) -> T:
        """``advance(*arguments)``, watched if need be."""
        if self.quiet and self.drawn:
            try:
                index = advance(*arguments)
            except StopIteration:
                self.ended = True
                raise
        else:
            index = self._watched(advance, *arguments)
        self.drawn += 1
        self.last = index
        return index

    def _watched(self, advance: Callable[..., T], *arguments: Any) -> T:
        before = self.states()
        try:
            return advance(*arguments)
        except StopIteration:
            self.ended = True
            raise
        finally:
            after = self.states()
            moved = [name for name, state in before.items() if not rngs.same(state, after[name])]
            # before its first move nothing is known about who moved what since the making: log it
            foreign = [
                name for name in moved if name not in self._after or not rngs.same(before[name], self._after[name])
            ]
            if foreign and not self.full:
                self.log.append([self.drawn, {name: before[name] for name in foreign}])
                self.full = len(self.log) > LOG_ENTRIES
            self._after.update((name, after[name]) for name in moved)

    def replay(
        self, sampler: Any, iterator: Iterator[Any], saved: dict[str, Any], count: int
    ) -> tuple[Iterator[Any], list[Any]]:
        """Bring a new iterator of the sampler to where ``saved`` was taken.

        Sets the generators of this process as it goes.

        Args:
            sampler: what ``iterator`` iterates over.
            iterator: a new one; use the one that is returned instead.
            saved: what `saved` gave.
            count: return the indices from this number on.

        Raises:
            DivergedError: there are fewer indices, or other ones.
        """
        drawn = saved["drawn"]
        states = {number: states for number, states in saved["log"] if number >= 0}
        first = max(0, min(count, drawn - 1))  # the last one is drawn for its fingerprint
        iterator = self._sought(sampler, iterator, states, first)
        tail = []
        for number in range(first, drawn):
            self.set_states(states.get(number, {}))
            index = list(itertools.islice(iterator, 1))
            _enough(number + 1, number + len(index))
            tail += index
        self.log, self.drawn, self.ended, self._after = list(saved["log"]), drawn, saved["ended"], {}
        self.last = tail[-1] if tail else None
        found = fingerprint(self.last)
        if None not in (found, saved["last"]) and found != saved["last"]:
            raise DivergedError(
                f"batch {drawn} of a data loader consists of other items than it did when the job was saved",
                advice="run the job with the data set, the sampler and the seeds that it was started with",
            )
        return (iter(()) if self.ended else iterator), tail[count - first :]

    def _sought(self, sampler: Any, iterator: Iterator[Any], states: dict[int, Any], target: int) -> Iterator[Any]:
        done = 0
        for number in sorted(number for number in states if 0 < number < target):
            self.set_states(states.get(done, {}))
            _enough(number, done + skip(iterator, number - done))
            done = number
        if not target:
            return iterator
        self.set_states(states.get(done, {}))
        if not done:
            return advanced(sampler, iterator, target)
        _enough(target, done + skip(iterator, target - done))
        return iterator

    def saved(self) -> dict[str, Any]:
        """What a replay needs, as plain data."""
        return {
            "log": [[number, dict(states)] for number, states in self.log],
            "drawn": self.drawn,
            "ended": self.ended,
            "last": fingerprint(self.last),
        }
