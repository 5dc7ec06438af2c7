"""How training loops are left: by their end, ``break``, ``return`` or an exception; and what is kept of each.

A resumed run skips a loop that had ended before its checkpoint: it puts in place what the loop had left, and goes
on behind it. Where an exception had left the loop, an equal one is raised at the loop's head, so that the
script's own ``except``, ``finally`` and ``with`` blocks run as they did then.
"""

from __future__ import annotations

from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from survivor.state import exceptions
from survivor.training.capture import freeze, guards_of, user_frames
from survivor.training.records import Context, Ended, Record

if TYPE_CHECKING:
    from survivor.training.engine import Engine

_END_LEVELS = 20


class Leaving:
    """Takes the state that loops leave behind, for an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ended(self, record: Record, value: Any = None, why: str = "") -> None:
        """A loop has run to its end, or is about to be left; with ``why`` it is one that can't be skipped.

        Args:
            value: what a ``return`` gives, or the exception.
        """
        engine = self._engine
        if not engine.finding.may_train(record) or engine.replay is not None:
            return
        level, begin = None, engine.clock()
        chain = engine.hooks.chain(record.frame)
        root_like = record.parent is engine.hooks.root and len(record.parent.ended) < _END_LEVELS
        if not why and (root_like or engine.end_pays(begin - record.entered_at)):
            taken = engine.capture_at(record, chain[: chain.index(record) + 1], result=value)
            level = freeze(taken.level) if taken is not None else None
            if level is None and record.how == "raise":
                why = f"{record.site} was left by an exception that holds what can't be carried, {_name(value)}"
            engine.spent_beside(engine.clock() - begin)
        record.parent.ended.append(
            Ended(site=record.site.key, entry=record.entry, how=record.how, level=level, why=why)
        )
        if record.parent is engine.hooks.root:
            engine.at_end(record)

    def raised(self, record: Record, error: BaseException) -> None:
        """An exception leaves a loop; where it may be caught, what the loop leaves is kept."""
        hooks = self._engine.hooks
        outermost = hooks.running[record.frame][0] is record
        if isinstance(error, GeneratorExit) or (record.site.in_generator and outermost):
            return  # nothing follows in the loops that are around it
        if not isinstance(error, SystemExit) and not self._may_be_caught(record.frame):
            return
        record.how = "raise"
        unfit = exceptions.why_not(error)
        if unfit:
            unfit = f"{record.site} was left by an exception that can't be carried, {_name(error)}: {unfit}"
        self.ended(record, error, why=unfit)

    def abandoned(self, record: Record) -> None:
        """A loop was left by an exception that is not kept: it can't be skipped by a resumed run."""
        if record.trained and self._engine.replay is None:
            record.parent.ended.append(Ended(site=record.site.key, entry=record.entry, how="raise", level=None))

    def _may_be_caught(self, frame: FrameType) -> bool:
        """Whether a running function of the user's stands in a ``try`` or ``with``, or was called by a library's."""
        scope = self._engine.scope
        outermost = user_frames(frame, scope)[0]
        current: FrameType | None = frame
        while current is not None:
            if current.f_code.co_filename not in scope.files:
                return True
            if any(first <= current.f_lineno <= last for first, last in guards_of(current.f_code, scope)):
                return True
            current = None if current is outermost else current.f_back
        return False

    def closed(self, context: Context) -> bool:
        """Whether all training loops that have ended in this iteration left a state that can be stored."""
        graphs = self._engine.graphs
        return all(past.level is not None and graphs.closed(past.level.open_paths) for past in context.ended)

    def why_open(self, context: Context) -> str:
        """Why that is not so."""
        for past in context.ended:
            if past.why:
                self._engine.link.warn(f"{past.why}; no checkpoint can be made until a loop around it goes on")
                return past.why
        return f"the training loop {context.ended[-1].site} has ended in this iteration"


class Skips:
    """Loops that a resumed run has skipped, and how each had ended."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Any, Any]] = {}
        self._again: tuple[Any, Any, Any] = (None, None, None)

    def note(self, site: str, how: str, value: Any, origin: Any = None) -> None:
        """A loop is skipped; ``origin`` is where its exception came from, see `survivor.training.capture`."""
        self._known[site] = (how, value, origin)

    def forget(self, site: str) -> None:
        """The loop is entered once more."""
        if self._known:
            self._known.pop(site, None)

    def how(self, site: str) -> str:
        """How a loop ended: "end" also where it was not skipped."""
        return self._known[site][0] if site in self._known else "end"

    def value(self, site: str) -> Any:
        """What its ``return`` gave."""
        return self._known.pop(site)[1]

    def raise_again(self, site: str) -> None:
        """Raise what had left a skipped loop, if it was an exception.

        Raises:
            BaseException: an equal one.
        """
        if self.how(site) == "raise":
            _, error, origin = self._known.pop(site)
            self._again = (error, error.__context__, origin)
            raise error

    def was_raised_again(self, error: BaseException | None, frame: FrameType) -> bool:
        """Whether an exception that leaves a loop of ``frame`` is that one; it is made to look as it did then."""
        again, context, origin = self._again
        if error is None or error is not again:
            return False
        self._again = (None, None, None)
        error.__context__ = context
        line, lasti = origin or (frame.f_lineno, frame.f_lasti)
        if not 0 <= lasti < len(frame.f_code.co_code):
            lasti = frame.f_lasti
        error.__traceback__ = TracebackType(None, frame, lasti, line)
        return True


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
