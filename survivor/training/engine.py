"""The engine: decides at the heads of loops what is captured, saved and restored.

It learns which loops train by watching ``backward`` (dynamic; the source's names only give a hint for
the first iteration), keeps a frozen level for each outer loop whose iterations are long enough to pay
for it, and makes a checkpoint at a head where

- every outer loop on the chain has its level, and every sibling that has ended left one,
- no graph of earlier iterations is used again (`survivor.training.graphs`),
- nobody stands in a loop that is not watched.

Where one of these does not hold the next head is tried; an outer loop's head is always simpler.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from survivor.checkpoint.snapshot import Snapshot
from survivor.collecting import paused
from survivor.errors import DivergedError, NotResumableError, SurvivorError
from survivor.state import generators, loaders, progress
from survivor.state.encode import Encoder
from survivor.state.loaders import tracking
from survivor.state.memory import Constants
from survivor.state.scope import Scope
from survivor.training import ending, importer, started, unwatched, watch
from survivor.training.assembly import Assembly
from survivor.training.capture import RESULT, Capture, capture, inside_unwatched_loop, sites_of
from survivor.training.copying import Settled
from survivor.training.files import Files
from survivor.training.finding import Finding
from survivor.training.graphs import Graphs
from survivor.training.imports import Imports
from survivor.training.leaving import Leaving
from survivor.training.levels import Levels
from survivor.training.loops import Hooks
from survivor.training.metrics import Metrics
from survivor.training.plan import Plan
from survivor.training.records import Context, Level, Record
from survivor.training.replay import Replay
from survivor.training.settings import Link, Settings, Stored
from survivor.training.sites import Site

#: What levels of loops that are not known to train may take in all.
_UNKNOWN_LEVELS_S = 1.0
_MOST_STARTS = 20
#: A head that was found to be no safe point costs at most this share of the time until it is tried again.
_RETRY_FACTOR = 20
#: What an iteration pays although nothing is saved in it: a head, a backward pass, a step and a batch that are seen.
#: Measured (benchmarks/overhead.py); it counts as a part of what saving may cost.
_SEEING_S = 5e-6


class Engine:
    """One training process.

    Args:
        link: to the store and the user.
        settings: what the user chose.
        user_root: folder whose modules are the user's.
    """

    def __init__(self, link: Link, settings: Settings, user_root: Path) -> None:
        self.link = link
        self.settings = settings
        self.scope = Scope(user_root)
        self.sites: list[Site] = []
        self.clock = time.monotonic
        self.hooks = Hooks(self)
        self.replay: Replay | None = None
        self.graphs = Graphs(link.warn)
        self.files = Files(self.scope, link.warn, link.note)
        self.plan = Plan(settings, link, self.scope.files)
        self.step = 0
        self.saves = 0
        self._due = 0.0
        self._stop_reason: str | None = None
        self.levels = Levels(settings)
        self._unknown_levels_s = 0.0
        self._beside_s = 0.0  # spent on levels since the last safe point: the share of saving is one for all
        self._at: Record | None = None
        self.first_training: Callable[[FrameType], None] | None = None
        self.constants = Constants()
        self.imports = Imports()
        self._starts = 0
        self.assembly = Assembly(self)
        self.leaving = Leaving(self)
        self.finding = Finding(self)
        self.tracked: dict[str, Any] = {}
        self.ignored: list[Any] = []
        self.metrics = Metrics(settings.keep_best)
        self._end: Snapshot | None = None
        self._told = False

    # --- for the bootstrap ----------------------------------------------------------------------

    def begin(self, checkpoint: Stored | None) -> None:
        """Set up hooks and RNGs before the script's first line runs."""
        loaders.install()
        tracking.told = self._data_set_grows
        watch.install(self._trained)
        started.install(self.scope, self.link.warn)
        self.graphs.install()
        self.hooks.install()
        self.files.install()
        if checkpoint is not None:
            self.replay = Replay(self, checkpoint.document, checkpoint.blobs())
            self.assembly.origin = self.replay.restore_origin()
            self.constants.digests = dict(checkpoint.document["constants"])
            self.metrics.restore(checkpoint.metrics, checkpoint.document.get("best", {}))
            self.step = self.replay.step
            if self.replay.at_start:
                self.replay.end()
        else:
            self.assembly.begin()
            self.files.made_folder = self._save_start
            self._save_start()
        self._due = self.clock()
        self.finding.begin()

    def _data_set_grows(self, path: str) -> None:
        self.link.warn(
            f"{path} grows in the loader's worker processes: what a data set keeps there is made anew after a kill, "
            "which is exact only if it comes out the same (no random numbers in it)"
        )

    def compile(self, source: bytes | str, filename: str, module_name: str) -> CodeType:
        """The instrumented code of a module of the user's."""
        return importer.compile_module(self, source, filename, module_name)

    def install_import_hook(self) -> None:
        """From now on, instrument the user's modules when they are imported."""
        importer.install(self)

    def instrument_function(self, function: Any) -> Any:
        """The same function with its loops, and those of the functions it came with, instrumented."""
        return importer.instrument_function(self, function)

    def finish(self) -> None:
        """The script has ended; the state at the end of its last training loop becomes the last checkpoint.

        Raises:
            DivergedError: it ended before it came to the loop that the checkpoint was taken in.
        """
        if self.replay is not None:
            self.replay.never_reached()
        self.finding.ended()
        # all that could have used a graph has run by now, so nothing need be learned of it first
        paths = [path for past in self.hooks.root.ended if past.level for path in past.level.open_paths]
        if self._end is not None and self._end.step == self.step and not self.graphs.used(paths):
            self.link.save(self._end, final=False, needed=True)

    def request_stop(self, reason: str) -> None:
        """Save at the next safe point and end; callable from any thread."""
        self._stop_reason = reason
        self._due = min(self._due, self.clock())

    @property
    def stopping(self) -> bool:
        """Whether the process is to save at the next safe point and end."""
        return self._stop_reason is not None

    def due(self, site: Site, now: float) -> bool:
        """Whether a checkpoint is wanted at a head of ``site``; a proof's tracer decides in its place."""
        return (now >= self._due or self.stopping or self.metrics.improved) and now >= site.retry_at

    def resumed(self) -> None:
        """The replay is over; the script trains on."""
        now = self.clock()
        self._due = now if self._stop_reason is not None else now + min(1.0, self.settings.every_s)

    # --- for the hooks --------------------------------------------------------------------------

    def report(self, values: dict[str, float]) -> None:
        """Note metrics; a new best is saved at the next safe point, where the state is still what was measured."""
        if self.replay is None:
            self.metrics.report(values)

    def open_iterator(self, iterable: Iterable[Any]) -> Iterator[Any]:
        """The iterator of a loop that is entered."""
        iterator = iter(iterable)
        progress.tap(iterator)
        return iterator

    def explicit_loop(self, iterable: Iterable[Any], frame: FrameType) -> Iterable[Any]:
        """Watch a loop that the source was not rewritten for."""
        if any(site.first_line == frame.f_lineno for site in sites_of(frame.f_code, self.scope)):
            return iterable
        number = importer.explicit_site(self, frame)
        return self.hooks.watch(number, iterable, frame)

    def drives(self, record: Record) -> bool:
        """Whether a generator is being put back where it was, and this is one of its loops."""
        return generators.drives(record)

    def skips(self, record: Record) -> bool:
        """During a replay: whether this loop had ended before the checkpoint was taken."""
        assert self.replay is not None
        replay = self.replay
        return bool(self._or_refuse(lambda: replay.skips(record)))

    def _or_refuse(self, restore: Callable[[], Any]) -> Any:
        """Run a part of the replay; what goes wrong in it ends the process, whatever the script would catch."""
        try:
            return restore()
        except SurvivorError as error:
            return self.link.refuse(error)
        except Exception as error:
            trace = "".join(traceback.format_exception(error)[-4:])
            return self.link.refuse(
                DivergedError(
                    f"the state could not be restored: {type(error).__name__}: {error}\n{trace}",
                    advice="the checkpoint is untouched; please report this, or start over with --fresh",
                )
            )

    def head(self, record: Record) -> None:
        """The top of an iteration: a safe point, perhaps."""
        if self.replay is not None:
            replay = self.replay
            self._or_refuse(lambda: replay.head(record))
            record.head_at = self.clock()
            return
        now = self.clock()
        self.link.beat(now)
        if (settled := self.link.settled()) is not None:
            self._copied(settled, now)
        self._at = record
        record.head_at_byte = record.frame.f_lasti
        site = record.site
        if record.context.entries:
            record.context = Context()
        spare, record.level = record.level, None
        if not record.trained and record.done and not self.finding.seen:
            self.finding.look(record)
        if not (site.trains or site.hinted):
            if record.done == 0 and site.entries == 1 and self._unknown_levels_s < _UNKNOWN_LEVELS_S:
                self._take_level(record, now)
            return
        self.step += 1
        self._beside_s += _SEEING_S
        self.graphs.backwards += self.finding.counts(record)
        if record.done:
            took = now - record.head_at
            site.body_s = took if site.body_s == 0.0 else 0.7 * site.body_s + 0.3 * took
        record.head_at = now
        may_be_outer = site.outer or (site.hinted and not site.trains)
        if self.due(site, now):
            taken = self._safe_point(record, now)
            if taken is not None:
                if may_be_outer and self.levels.pays_at_head(record, now):
                    self._keep_level(record, taken, self.clock(), spare)
                return
        if may_be_outer and self.levels.pays_at_head(record, now):
            self._take_level(record, now, spare)

    def _copied(self, settled: Settled, now: float) -> None:
        """A copy beside the training has come to its end, and cost what was not known when it began."""
        if settled.torn:
            self._beside_s += settled.seconds
            self._due = min(self._due, now)
        else:
            self._due = min(self._due + settled.seconds / self.settings.overhead, now + self.settings.every_s)

    def raised(self, record: Record, error: BaseException) -> None:
        """An exception is about to leave a loop."""
        ending.hide_ours(error)
        if record.trained and self.replay is None:
            self.leaving.raised(record, error)

    def at_end(self, record: Record) -> None:
        """An outermost training loop has ended: that state is the last of all, if none comes after."""
        self._end = self.assembly.at_end(record)

    def spent_beside(self, seconds: float) -> None:
        """Time went into states that belong to the next safe point."""
        self._beside_s += seconds

    def _trained(self, frame: Any) -> None:
        """A backward pass or an optimizer step: the loops around it train."""
        self.graphs.backwards += 1
        if self._at is not None and self._at.trained and self.finding.seen:
            return  # the usual case; a loop inside it would have had a head since
        if self.first_training is not None:
            self.first_training(frame)
        if self.replay is None:
            self.hooks.outside.closed = True
        innermost = self.hooks.innermost(frame)
        if innermost is None and self.replay is None and not self.hooks.off:
            self._tell_unwatched(frame)
        if not self.finding.seen:
            self.finding.trained(self.hooks.chain(frame))
        if innermost is None or innermost.trained or self.hooks.off:
            return
        chain = self.hooks.chain(frame)
        for record in chain:
            record.trained = True
            record.site.trains = True
            record.site.cold = False
        for record in chain[:-1]:
            record.site.outer = True

    def _tell_unwatched(self, frame: Any) -> None:
        """Once for all such places: a warning for each line of a script that has no loop would be too many."""
        if not self._told:
            self._told = True
            where = unwatched.place(frame, self.scope.files)
            self.link.warn(
                f"training runs outside of every loop that survivor watches ({where}): no checkpoint can be made "
                "there, so after a kill that part begins again; a for loop is watched, and survivor.loop(…) marks one "
                "in an installed package"
            )

    def _save_start(self) -> None:
        """A checkpoint of the script's start: the RNGs, and what the set-up has done outside so far.

        A session that is killed before its first safe point must not make the next one set up another run.
        """
        if not self.hooks.outside.closed and self._starts < _MOST_STARTS:
            self._starts += 1
            self.link.save(self.assembly.at_start(), final=False)

    # --- safe points ----------------------------------------------------------------------------

    def _take_level(self, record: Record, now: float, spare: Level | None = None) -> None:
        chain = self.hooks.chain(record.frame)
        self._keep_level(record, self.capture_at(record, chain), now, spare)
        if not record.site.trains:
            self._unknown_levels_s += self.clock() - now

    def _keep_level(self, record: Record, taken: Capture | None, since: float, spare: Level | None) -> None:
        record.site.level_at = since
        if taken is not None:
            record.level = self.levels.copied(taken.level, spare)
        self._beside_s += self.clock() - since

    @paused()
    def capture_at(self, record: Record, chain: list[Record], result: Any = None) -> Capture | None:
        """The state at this head, or ``None`` where it can't be read."""
        begin = self.clock()
        # what stands at the first training loop's head is what a resumed run's set-up will make
        self.constants.learning = len(chain) == 1 and record.done == 0 and not self.constants.digests
        encoder = Encoder(self.scope, self.settings.ignore, self.ignored, self.constants)
        try:
            taken = capture(encoder, record, chain, self.tracked, result)
            if record.how == "raise" and any(path.startswith(RESULT) for path, _ in taken.opaque):
                return None
            if self.finding.refused(taken, record.site):
                return None
            changed = record.seen.changed(taken.left, self.scope)
            if record.site.trains or record.site.hinted:
                self.plan.check(taken.opaque, record.site)
                self.plan.check_left(changed, record.site)
        except NotResumableError as error:
            return self.link.refuse(error)  # type: ignore[no-any-return]
        except Exception as error:
            trace = "".join(traceback.format_exception(error)[-4:])
            self.link.warn(f"no checkpoint can be made here: {type(error).__name__}: {error}\n{trace}")
            self.graphs.why = "the state could not be read"
            return None
        taken.level.document["imported"] = self.imports.names()
        # what one loop's iterations do to a graph says nothing of another's
        found = [(f"{path} ({record.site.key})", tensor) for path, tensor in taken.graph]
        taken.level.open_paths.extend(self.graphs.open_paths(found, record.number, record.done))
        self.levels.captured(self.clock() - begin)
        return taken

    @paused()
    def _safe_point(self, record: Record, now: float) -> Capture | None:
        """Save here if it can be done; the next head is tried otherwise."""
        chain = self.hooks.chain(record.frame)
        blocked = self._why_not(record, chain)
        taken = None if blocked else self.capture_at(record, chain)
        if taken is None or not self.graphs.closed(taken.level.open_paths):
            # without a backward pass since it was tried last there is nothing to learn of its graphs
            idle = record.site.tried_at == self.graphs.backwards
            if taken is not None and (idle or self.graphs.used(taken.level.open_paths)):
                record.site.retry_at = now + _RETRY_FACTOR * (self.clock() - now)
            record.site.tried_at = self.graphs.backwards
            self.finding.blocked = blocked or self.graphs.why
            self.plan.postponed(self.finding.blocked, since=now - self._due)
            return None
        snapshot, best = self.assembly.at_head(chain, taken.level), self.metrics.take_improved()
        # looked at once: a wish to stop that comes while this is being saved is for the next safe point
        stopping = self.stopping
        self.link.save(snapshot, final=stopping, needed=best)
        self.saves += 1
        if stopping:
            self.link.leave()
        end = self.clock()
        cost, self._beside_s = end - now + self._beside_s, 0.0
        self._due = end + min(self.settings.every_s, cost / self.settings.overhead)
        return taken

    def _why_not(self, record: Record, chain: list[Record]) -> str:
        if not chain or chain[-1] is not record:
            return f"{record.site} runs inside something that is not on the stack"
        for outer in chain[:-1]:
            if outer.level is None:
                return f"{outer.site} has iterations too short for a snapshot of its own"
            if not self.graphs.closed(outer.level.open_paths):
                return self.graphs.why
        contexts = [self.hooks.root, *(outer.context for outer in chain[:-1])]
        for context in contexts:
            if not self.leaving.closed(context):
                return self.leaving.why_open(context)
        unwatched = inside_unwatched_loop(record.frame, self.hooks.running, self.scope)
        if unwatched is not None:
            for site in self.sites:
                if site.key == unwatched:
                    site.cold, site.hinted = False, True
            return f"{unwatched} is not watched yet"
        return ""
