"""From levels to a snapshot: what the loops on the stack, and those that have ended, left is put into one document."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.state import rng
from survivor.state.encode import Encoder
from survivor.training import attachments
from survivor.training.capture import freeze
from survivor.training.ending import flush_everything
from survivor.training.records import Context, Level, Record

if TYPE_CHECKING:
    from survivor.training.engine import Engine


class Assembly:
    """Makes an engine's snapshots.

    Attributes:
        origin: the random streams that the first session began with, and the bytes that go with them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.origin: tuple[dict[str, Any], dict[str, Blob]] | None = None

    def begin(self) -> None:
        """The job begins now: note its origin."""
        encoder = Encoder(self._engine.scope)
        origin = {"rng": encoder.ref(rng.read_all()), "nodes": encoder.nodes}
        self.origin = origin, freeze(Level({}, encoder.finish())).blobs

    def at_start(self) -> Snapshot:
        """Nothing is trained yet."""
        return self._made([], [], {}, "its start", step=0)

    def at_head(self, chain: list[Record], level: Level) -> Snapshot:
        """At the head of the last loop of ``chain``, whose own level is given."""
        blobs: dict[str, Blob] = {}
        documents = []
        for i, each in enumerate([outer.level for outer in chain[:-1]] + [level]):
            assert each is not None
            documents.append(each.document)
            blobs |= _prefixed(each, "" if each is level else f"level{i}/")
        contexts = [self._engine.hooks.root, *(outer.context for outer in chain[:-1])]
        ended = [_ended_part(context, i, blobs) for i, context in enumerate(contexts)]
        made = self._made(documents, ended, blobs, ", ".join(str(record) for record in chain))
        return replace(made, steady=level.steady)

    def at_end(self, record: Record) -> Snapshot | None:
        """Where an outermost training loop has ended, which no head comes after."""
        root = self._engine.hooks.root
        if any(past.level is None for past in root.ended):
            return None
        # it is saved later, if at all, and must not know of what is printed and written until then
        flush_everything()
        blobs: dict[str, Blob] = {}
        ended = [_ended_part(root, 0, blobs)]
        return attachments.attached(self._made([], ended, blobs, f"the end of the {record.site.label} loop"))

    def _made(
        self, levels: list[Any], ended: list[Any], blobs: dict[str, Blob], position: str, step: int | None = None
    ) -> Snapshot:
        engine = self._engine
        assert self.origin is not None
        origin, origin_blobs = self.origin
        document = {
            "kind": "training",
            "step": engine.step,
            "origin": origin | {"outside": engine.hooks.outside.log},
            "files": engine.files.lengths(),
            "constants": engine.constants.digests,
            "best": engine.metrics.best,
            "levels": levels,
            "ended": ended,
        }
        return Snapshot(
            document=document,
            blobs=blobs | _prefixed(Level({}, origin_blobs), "origin/"),
            step=engine.step if step is None else step,
            position=position,
            metrics={} if step == 0 else dict(engine.metrics.values),
        )


def _ended_part(context: Context, depth: int, blobs: dict[str, Blob]) -> list[dict[str, Any]]:
    """What a document says of the training loops that have ended; their bytes are added to ``blobs``."""
    part = []
    for j, past in enumerate(context.ended):
        assert past.level is not None
        blobs |= _prefixed(past.level, f"ended{depth}.{j}/")
        part.append({"site": past.site, "entry": past.entry, "how": past.how, "state": past.level.document})
    return part


def _prefixed(level: Level, prefix: str) -> dict[str, Blob]:
    if not prefix:
        return level.blobs
    return {
        prefix + name: Blob(name=prefix + name, dtype=blob.dtype, shape=blob.shape, data=blob.data)
        for name, blob in level.blobs.items()
    }
