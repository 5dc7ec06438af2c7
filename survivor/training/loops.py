"""The calls that rewritten source makes: the hot path of survivor.

A loop that trains nothing costs one call per entry and nothing per iteration once that is known; a
training loop costs a flag and a clock per iteration. Whatever is more than that happens in `Engine`,
which these hooks call at the heads of loops only.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from _thread import get_ident
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from survivor.state import environment, generators
from survivor.training import consumed
from survivor.training.leaving import Skips
from survivor.training.outside import Outside
from survivor.training.records import Context, Record
from survivor.training.rewrite import HOOK

if TYPE_CHECKING:
    from survivor.training.engine import Engine

_END: Any = object()
#: Entries without training after which a loop that the source gives no hint of is let go.
_COLD_AFTER = 30


class Hooks:
    """``__survivor__`` in rewritten source; one per process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = get_ident()
        self._is_compiling = torch.compiler.is_compiling
        self.running: dict[FrameType, list[Record]] = {}
        self.root = Context()
        self.off = False
        self.outside = Outside()
        self.skips = Skips()

    def install(self) -> None:
        """Make these hooks the ones that rewritten source finds; forked children run without them."""
        setattr(builtins, HOOK, self)
        generators.Lanes.running = self.running
        os.register_at_fork(after_in_child=self._turn_off)

    def _turn_off(self) -> None:
        self.off = True

    # --- for ------------------------------------------------------------------------------------

    def loop(self, number: int, iterable: Iterable[Any]) -> Iterable[Any]:
        """The iterable of a ``for`` statement, watched if it may train."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return iterable
        return self.watch(number, iterable, sys._getframe(1))

    def watch(self, number: int, iterable: Iterable[Any], frame: FrameType) -> Iterable[Any]:
        """The same for a loop of another frame than the caller's."""
        engine = self._engine
        site = engine.sites[number]
        if site.cold:
            # counted, since a cold loop can share its site with a replayed one
            self.context_of(frame, site.in_generator).enter(site.key)
            return iterable
        record = self._enter(number, frame)
        if engine.drives(record):
            return () if record.passed_over else self._drive(record)
        if engine.replay is not None and engine.skips(record):
            self.skips.raise_again(site.key)
            return ()
        record.iterator = engine.open_iterator(iterable)
        record.consumed = consumed.of(record.iterator, engine.scope)
        return self._drive(record)

    def _drive(self, record: Record) -> Iterator[Any]:
        running = self.running
        frame, site, head = record.frame, record.site, self._engine.head
        records = running.setdefault(frame, [])
        records.append(record)
        try:
            if site.in_generator and record.started:  # put in the middle of a body, see state.generators
                yield record.item
                while generators.tries_again(record):
                    yield record.item
                record.done += 1
            while True:
                head(record)
                if record.consumed is None:
                    item = next(record.iterator, _END)  # type: ignore[arg-type]
                else:
                    item = record.consumed.next(record.iterator, _END)  # type: ignore[arg-type]
                if item is _END:
                    break
                if site.in_generator:
                    record.item = item
                yield item
                del item
                record.done += 1
            self._leave(record, completed=True)
        finally:
            if record.how or not site.guarded:  # `raised` comes next otherwise
                self._leave(record, completed=False)

    def explicit(self, iterable: Iterable[Any], frame: FrameType) -> Iterable[Any]:
        """``survivor.loop(iterable)`` in ``frame``: nothing to add where the loop is rewritten already."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return iterable
        return self._engine.explicit_loop(iterable, frame)

    def track(self, objects: dict[str, Any]) -> None:
        """``survivor.track``."""
        self._engine.tracked.update(objects)

    def ignore(self, objects: Iterable[Any]) -> None:
        """``survivor.ignore``."""
        self._engine.ignored.extend(objects)

    def report(self, metrics: dict[str, float]) -> None:
        """``survivor.report``."""
        self._engine.report(metrics)

    # --- while ----------------------------------------------------------------------------------

    def enter(self, number: int) -> None:
        """A ``while`` statement is reached."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return
        frame = sys._getframe(1)
        record = self._enter(number, frame)
        self.running.setdefault(frame, []).append(record)
        if not self._engine.drives(record) and self._engine.replay is not None and self._engine.skips(record):
            record.iterator = iter(())  # says that it is skipped

    def tick(self, number: int) -> bool:
        """The top of a ``while`` body; false ends the loop, as a loop that had ended is skipped."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return True
        record = self._top(sys._getframe(1), number)
        if record is None:
            return True
        if record.iterator is not None:
            self.skips.raise_again(record.site.key)
            return False
        if record.forced == 2 or (record.site.in_generator and generators.tries_again(record)):
            # the body that was in progress goes on
            record.forced = 1
            return True
        record.forced = 0
        if record.started:
            record.done += 1
        record.started = True
        self._engine.head(record)
        return True

    def forced(self, number: int) -> bool:
        """Whether a ``while`` whose test is false goes on all the same: it is being put in the middle of a body."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return False
        record = self._top(sys._getframe(1), number)
        if record is None or not record.forced:
            return False
        record.forced = 0
        return True

    def exit(self, number: int) -> None:
        """A ``while`` statement is left, whichever way."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return
        record = self._top(sys._getframe(1), number)
        if record is not None:
            if record.iterator is not None:  # it was skipped
                record.how = "end"
            self._leave(record, completed=not record.how)

    # --- ends -----------------------------------------------------------------------------------

    def left(self, number: int, pending: bool = False) -> None:
        """A ``break`` is about to run; ``pending`` says that a ``finally`` or ``with`` of the script's runs first."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return
        record = self._top(sys._getframe(1), number)
        if record is not None:
            record.how, record.pending = "break", pending or _closes(record)
            if not record.pending:
                self._engine.leaving.ended(record)

    def returned(self, number: int, value: Any, pending: bool = False) -> Any:
        """A ``return`` ends this loop, the outermost of its function; gives the value back."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return value
        record = self._top(sys._getframe(1), number)
        if record is not None:
            for inner in self.running[record.frame]:
                inner.how = "return"
            if record.site.in_generator:
                return value  # no loop is around it that could come by it again
            if pending or any(map(_closes, self.running[record.frame])):
                record.pending, record.value = True, value
            else:
                self._engine.leaving.ended(record, value)
        return value

    def raised(self, number: int) -> None:
        """An exception leaves a loop."""
        if self._is_compiling() or self.off or get_ident() != self._thread:
            return
        error, frame = sys.exc_info()[1], sys._getframe(1)
        record = self._top(frame, number)
        if self.skips.was_raised_again(error, frame):
            if record is not None:
                record.how = "raise"
        elif record is not None and error is not None:
            record.iterator = None  # the script holds it no more: a generator's `finally` runs now
            self._engine.raised(record, error)
        if record is not None:
            self._leave(record, completed=False)

    def completed(self, number: int) -> bool:
        """Whether the ``else`` of a loop runs: not when the loop was skipped and had ended by ``break``."""
        return self._how(number) == "end"

    def returns(self, number: int) -> bool:
        """Whether a loop was skipped that had ended by ``return``."""
        return self._how(number) == "return"

    def _how(self, number: int) -> str:
        return "end" if self._is_compiling() or self.off else self.skips.how(self._engine.sites[number].key)

    def value(self, number: int) -> Any:
        """What that ``return`` gave."""
        return self.skips.value(self._engine.sites[number].key)

    def _leave(self, record: Record, *, completed: bool) -> None:
        records = self.running.get(record.frame)
        if records is None or record not in records:
            return
        if completed:
            record.how, record.pending = "end", True
        if record.pending:
            record.pending, record.iterator = False, None
            self._engine.leaving.ended(record, record.value)
        del records[records.index(record) :]
        if not records:
            del self.running[record.frame]
        if not record.how:
            self._engine.leaving.abandoned(record)
        record.iterator = record.value = None

    # --- what comes from outside ----------------------------------------------------------------

    def noted(self, key: str, value: Any) -> Any:
        """A value from outside the program: noted in the first run of the set-up, given again in later ones."""
        if self._is_compiling() or self.off or self.outside.closed or get_ident() != self._thread:
            return value
        return self.outside.noted(key, value)

    def seeded(self, key: str, value: Any) -> Any:
        """A random number generator that the system has seeded: its state is noted, and given again."""
        if self._is_compiling() or self.off or self.outside.closed or get_ident() != self._thread:
            return value
        return self.outside.seeded(key, value)

    # --- generators -----------------------------------------------------------------------------

    def delegate(self, iterable: Any) -> Any:
        """What a ``yield from`` iterates over."""
        if self._is_compiling() or self.off:
            return iterable
        return generators.delegate(iterable, sys._getframe(1))

    # --- where we are ---------------------------------------------------------------------------

    def _enter(self, number: int, frame: FrameType) -> Record:
        engine = self._engine
        site = engine.sites[number]
        parent = self.context_of(frame, site.in_generator)
        self.skips.forget(site.key)
        environment.begin()
        site.entries += 1
        if site.entries > _COLD_AFTER and not (site.trains or site.hinted or site.in_generator):
            site.cold = site.kind == "for" and engine.replay is None
        now = engine.clock()
        return Record(site=site, frame=frame, entry=parent.enter(site.key), parent=parent, entered_at=now, head_at=now)

    def context_of(self, frame: FrameType, in_generator: bool) -> Context:
        """The iteration that a loop in ``frame`` is entered in."""
        records = self.running.get(frame)
        if records:
            return records[-1].context
        if in_generator:
            return Context()  # a generator's own loops do not depend on when it is resumed
        outer = frame.f_back
        while outer is not None:
            records = self.running.get(outer)
            if records:
                return records[-1].context
            outer = outer.f_back
        return self.root

    def _top(self, frame: FrameType, number: int) -> Record | None:
        site = self._engine.sites[number]
        for record in reversed(self.running.get(frame, ())):
            if record.site is site:
                return record
        return None

    def chain(self, frame: FrameType | None) -> list[Record]:
        """The running loops from the outermost to those of ``frame``, along the calls."""
        parts: list[list[Record]] = []
        while frame is not None:
            records = self.running.get(frame)
            if records:
                parts.append(records)
            frame = frame.f_back
        return [record for records in reversed(parts) for record in records]

    def innermost(self, frame: FrameType | None) -> Record | None:
        """The innermost running loop on the call stack that ends in ``frame``."""
        while frame is not None:
            records = self.running.get(frame)
            if records:
                return records[-1]
            frame = frame.f_back
        return None


def _closes(record: Record) -> bool:
    """Whether something of the script's may run when a loop lets go of what it iterates over."""
    return any(type(each) is types.GeneratorType for each in consumed.below(record.iterator))
