"""Coming back: the script runs again from its first line, and its loops are put where the checkpoint says.

Outermost first, each loop of the checkpoint's chain is recognised when it is entered (by its site and its
number among the entries in the parent's iteration), its level is restored, and the script goes on from
there: it runs the way to the next inner loop again, from the very state it had then. Training loops that
had ended on that way are skipped, and what they had left is put in place. When the innermost level is
restored the replay is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from survivor.checkpoint.snapshot import Blob
from survivor.errors import DivergedError, FormatError
from survivor.state import flags, loaders, rng
from survivor.state.decode import Decoder
from survivor.state.pairing import MISSING
from survivor.training import frames, imports, output
from survivor.training.capture import code_name, user_frames
from survivor.training.consumed import Consumed
from survivor.training.records import Context, Ended, Level, Record

if TYPE_CHECKING:
    from survivor.training.engine import Engine


class _Prefixed(Mapping[str, Blob]):
    """The blobs of one level, under the names that its document uses."""

    def __init__(self, blobs: Mapping[str, Blob], prefix: str) -> None:
        self._blobs = blobs
        self._prefix = prefix

    def __getitem__(self, name: str) -> Blob:
        return self._blobs[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name[len(self._prefix) :] for name in self._blobs if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Replay:
    """The way from the script's first line to the checkpoint's innermost loop.

    Args:
        engine: the engine that is coming back.
        document: the checkpoint's document.
        blobs: its bytes.
    """

    def __init__(self, engine: Engine, document: dict[str, Any], blobs: Mapping[str, Blob]) -> None:
        if document.get("kind") != "training":
            raise FormatError("the checkpoint holds no training state")
        self._engine = engine
        self._document = document
        self._blobs = blobs
        self._matched: list[Record] = []
        self.step: int = document["step"]
        self.levels: list[dict[str, Any]] = document["levels"]
        #: nothing was trained yet
        self.at_start = not self.levels and not any(document["ended"])
        self._mute(True)
        engine.files.begin_replay(document["files"], blobs)
        loaders.deferring = True

    def restore_origin(self) -> tuple[dict[str, Any], dict[str, Blob]]:
        """Set the RNGs to where the first session began; returns the origin's document and bytes."""
        origin = self._document["origin"]
        blobs = dict(_Prefixed(self._blobs, "origin/"))
        decoder = Decoder(origin["nodes"], blobs, self._engine.scope)
        rng.write_all(decoder.value(origin["rng"]))
        self._engine.hooks.outside.replay(origin["outside"])
        return origin, blobs

    # --- at the loops -------------------------------------------------------------------------

    def _context(self) -> Context:
        return self._matched[-1].context if self._matched else self._engine.hooks.root

    def skips(self, record: Record) -> bool:
        """Whether this loop had ended; if so its end state is put in place."""
        depth = len(self._matched)
        if record.parent is not self._context():
            return False
        for index, past in enumerate(self._document["ended"][depth]):
            if (past["site"], past["entry"]) == (record.site.key, record.entry):
                blobs = _Prefixed(self._blobs, f"ended{depth}.{index}/")
                record.site.trains = True
                result = self._restore(record, past["state"], blobs)
                if past["how"] == "raise" and result is MISSING:
                    raise DivergedError(f"the exception that had ended {record.site} can't be made again")
                self._engine.hooks.skips.note(past["site"], past["how"], result, past["state"].get("origin"))
                level = Level(past["state"], dict(blobs))
                ended = Ended(site=past["site"], entry=past["entry"], how=past["how"], level=level)
                record.parent.ended.append(ended)
                if not self.levels and index == len(self._document["ended"][depth]) - 1:
                    self.end()  # the checkpoint was taken where this loop has ended
                return True
        return False

    def head(self, record: Record) -> None:
        """A loop's head: the place, perhaps, that the next level is restored at."""
        self._check_passed(record)
        levels = self.levels
        if not levels:
            return
        depth = len(self._matched)
        target = levels[depth]["chain"][-1]
        while depth < len(levels) - 1 and (record.site.key, record.entry) != (target["site"], target["entry"]):
            if not self._stands_already(record, depth):
                return
            depth += 1
            target = levels[depth]["chain"][-1]
        if (record.site.key, record.entry) != (target["site"], target["entry"]):
            return
        if record.done and not record.driven:
            return
        if not self._stands_within(record):
            return
        record.driven = False
        blobs = _Prefixed(self._blobs, f"level{depth}/" if depth < len(levels) - 1 else "")
        record.done = target["done"]
        record.site.trains = record.trained = True
        self._restore(record, levels[depth], blobs)
        if depth < len(levels) - 1:
            self._match(record, depth)
        else:
            self.end()

    def _stands_within(self, record: Record) -> bool:
        """Whether the loops around a loop are those that were matched, and no others."""
        if not record.site.in_generator:
            return record.parent is self._context()
        # the context of a generator's loop says nothing of who resumes it, and the generator may call itself
        chain = self._engine.hooks.chain(record.frame)
        return chain[: chain.index(record)] == self._matched

    def _stands_already(self, record: Record, depth: int) -> bool:
        """Whether a level's loop is one of a generator that was put back in the middle of that very iteration."""
        target = self.levels[depth]["chain"][-1]
        for holder in self._engine.hooks.running.get(record.frame, ()):
            if holder.driven and holder.address == target and self._stands_within(holder):
                self._match(holder, depth)
                return True
        return False

    def _match(self, record: Record, depth: int) -> None:
        blobs = _Prefixed(self._blobs, f"level{depth}/")
        self._matched.append(record)
        record.site.trains = record.site.outer = record.trained = True
        record.level = Level(self.levels[depth], dict(blobs))
        record.context = Context()

    def _check_passed(self, record: Record) -> None:
        if record in self._matched:
            depth = self._matched.index(record)
            if record.done != self.levels[depth]["chain"][-1]["done"]:
                self.never_reached()

    def end(self) -> None:
        """The state is back: the script trains on from here."""
        engine = self._engine
        engine.replay = None
        loaders.deferring = False
        engine.files.end_replay()
        engine.hooks.outside.closed = not self.at_start
        self._mute(False)
        engine.resumed()

    def never_reached(self) -> None:
        """Stop: the script did not come back to the loop of the checkpoint.

        Raises:
            DivergedError: always.
        """
        levels = self.levels
        target = levels[len(self._matched)]["chain"][-1] if levels else self._document["ended"][0][-1]
        self._mute(False)
        raise DivergedError(
            f"the script did not come to the loop {target['site']} again, in which the checkpoint was taken",
            advice="if the script or its data were changed, --fresh starts over and keeps the old job folder aside",
        )

    @staticmethod
    def _mute(silent: bool) -> None:
        """What the script prints on its way to the checkpoint stands in the output already; stderr stays."""
        transcript = output.current()
        if transcript is not None:
            transcript.mute() if silent else transcript.unmute()

    # --- one level ----------------------------------------------------------------------------

    def _restore(self, record: Record, document: dict[str, Any], blobs: Mapping[str, Blob]) -> Any:
        """Put the state of one level in place; returns what an ended loop returned."""
        engine = self._engine
        stack = [f for f in user_frames(record.frame, engine.scope) if f.f_code.co_name != "<module>"]
        names = [code_name(frame.f_code) for frame in stack]
        if names != [entry["function"] for entry in document["frames"]]:
            raise DivergedError(
                f"{record.site} was reached through {' > '.join(names)}; the checkpoint was taken in "
                + " > ".join(entry["function"] for entry in document["frames"]),
            )
        decoder = Decoder(document["nodes"], blobs, engine.scope)
        _consume_again(record, decoder, document.get("consumed"))
        spaces: list[tuple[dict[str, Any], Any]] = []
        for entry in document["modules"]:
            module = engine.scope.modules.get(entry["module"]) or imports.again(entry["module"], engine.scope)
            if module is not None:
                spaces.append((entry, module))
        for entry, module in spaces:
            for name, reference in entry["variables"]:
                decoder.pair(reference, vars(module).get(name, MISSING))
        for entry, frame in zip(document["frames"], stack, strict=True):
            cells = frames.find_cells(frame, [name for name, _ in entry.get("cells", ())])
            for name, reference in entry.get("cells", ()):
                decoder.pair(reference, cells.get(name, MISSING))
            variables = frames.read(frame)
            for name, reference in entry["variables"]:
                decoder.pair(reference, variables.get(name, MISSING))
        decoder.pair(document["iterator"], record.iterator)
        for name, reference in document["tracked"]:
            decoder.pair(reference, engine.tracked.get(name, MISSING))
        decoder.pair(document.get("foreign"), engine.scope.foreign.read(engine.scope.modules))
        decoder.settle()
        self._fill(decoder, record, document, spaces, stack)
        if decoder.driven:
            decoder.again()
            self._fill(decoder, record, document, spaces, stack)
        result = decoder.value(document["result"])
        if decoder.reordered:
            engine.link.warn(
                f"{len(decoder.reordered)} set(s) iterate in another order than before: where the order matters, "
                "use sorted(…) or a dict"
            )
        self._tell_changed(decoder)
        if decoder.lost:
            what = ", ".join(f"{count} {kind}" for kind, count in decoder.lost.most_common(5))
            engine.link.warn(
                f"lists and dicts of the script held objects that only its training makes, and they are lost: {what}"
            )
        engine.scope.foreign.write(decoder.value(document.get("foreign")) or {}, engine.scope.modules)
        flags.write_all(decoder.value(document["flags"]))
        engine.imports.expect(document.get("imported", ()))
        rng.write_all(decoder.value(document["rng"]))
        return result

    def _tell_changed(self, decoder: Decoder) -> None:
        """What is left to the set-up is not what it was at the checkpoint.

        Raises:
            DivergedError: it is not, and the user has not allowed that.
        """
        if not decoder.changed:
            return
        kinds = sorted({str(decoder.nodes[number][1]) for number in decoder.changed})
        text = f"what the script's beginning makes is not what there was at the checkpoint: {', '.join(kinds)}"
        if self._engine.settings.allow_partial:
            self._engine.link.warn(f"{text}; going on, as allowed")
            return
        raise DivergedError(
            text,
            advice="training had exchanged or changed it, or it comes from elsewhere and has changed since; "
            "--allow-partial goes on with what is there now, --fresh starts over",
        )

    def _fill(
        self, decoder: Decoder, record: Record, document: dict[str, Any], spaces: list[Any], stack: list[Any]
    ) -> None:
        for entry, module in spaces:
            values, gone = _split(decoder, entry, vars(module))
            gone = {name for name in gone if not name.startswith("__")}
            vars(module).update(values)
            for name in gone:
                del vars(module)[name]
        for entry, frame in zip(document["frames"], stack, strict=True):
            values, gone = _split(decoder, entry, frames.read(frame))
            frames.write(frame, values, gone)
        for _, reference in document["tracked"]:
            decoder.value(reference)
        if document["iterator"] is not None:
            record.iterator = decoder.value(document["iterator"])


def _consume_again(record: Record, decoder: Decoder, reference: Any) -> None:
    if reference is not None and record.iterator is not None:
        record.consumed = record.consumed or Consumed()
        record.consumed.again(record.iterator, decoder.value(reference))


def _split(decoder: Decoder, entry: dict[str, Any], live: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The variables to set and the names to unbind."""
    values = {}
    for name, reference in entry["variables"]:
        value = decoder.value(reference)
        if value is not MISSING:
            values[name] = value
    return values, set(live) - set(entry["names"])
