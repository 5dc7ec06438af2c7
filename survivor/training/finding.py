"""Finding the training loop of a script that trains without a backward pass or an optimizer's step.

Evolution strategies, k-means, tabular reinforcement learning, a perceptron: nothing that survivor can hook into
runs. So after some seconds without any training the loops that are running then are *believed* to train. If a
backward pass comes after all, the script was only getting ready, and what was believed is taken back.

Nobody is left without a word: a script in which no training loop is found is told so, with what to type.
"""

from __future__ import annotations

import _thread
import time
from typing import TYPE_CHECKING

from survivor.training.plan import described
from survivor.training.records import Record
from survivor.training.sites import Site

if TYPE_CHECKING:
    from survivor.training.capture import Capture
    from survivor.training.engine import Engine

#: How long loops may run without any training until they are believed to train.
_PATIENCE_S = 5.0
#: A loop whose bodies are shorter than this on average is left alone: its heads would cost too much. The
#: outermost loop may have shorter ones.
_SHORTEST_BODY_S = 1e-3
_SHORTEST_OUTERMOST_S = 20e-6
_REMIND_AFTER_S = 60.0
_ADVICE = "survivor.loop(iterable) marks the loop that trains: for epoch in survivor.loop(range(10))"


class Finding:
    """What an engine believes of the loops of a script that shows no training.

    Attributes:
        seen: a backward pass or an optimizer's step has run.
        believed: loops that are taken as training loops without it.
        blocked: why the last head that was tried was no safe point.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begin = engine.clock()
        self._since = -1.0
        self._resumes = False  # a session that goes on knows its loops
        self._left_alone: set[Site] = set()
        self._hinted = (0, False)
        self.seen = False
        self.believed: set[Site] = set()
        self.blocked = ""

    def begin(self) -> None:
        """The script starts."""
        self._begin = self._engine.clock()
        self._resumes = self._engine.replay is not None
        _thread.start_new_thread(self._remind, ())

    # --- at heads ---------------------------------------------------------------------------

    def look(self, record: Record) -> None:
        """An iteration of a loop has ended, and nothing has trained yet: is this what the script has for training?"""
        engine, site = self._engine, record.site
        if site in self._left_alone or self._source_says():
            return
        now, every_s = engine.clock(), engine.settings.every_s
        if self._since < 0.0:
            self._since = now
        if now - self._since < min(_PATIENCE_S, every_s):
            return
        chain = engine.hooks.chain(record.frame)
        shortest = _SHORTEST_OUTERMOST_S if chain[0] is record else _SHORTEST_BODY_S
        if every_s and (now - record.entered_at) / record.done < shortest:
            self._left_alone.add(site)
        else:
            self._believe(chain)

    def _source_says(self) -> bool:
        """Whether the source names calls that train: those loops are tried as they are, and others are not."""
        sites = self._engine.sites
        if len(sites) != self._hinted[0]:
            self._hinted = len(sites), any(site.hinted for site in sites)
        return self._hinted[1]

    def counts(self, record: Record) -> bool:
        """Whether an iteration of this loop is taken as one that has trained."""
        return record.site in self.believed

    def may_train(self, record: Record) -> bool:
        """Whether the end of a loop is worth keeping: it trains, or nothing does and its source says that it may."""
        return record.trained or (record.site.hinted and not self.seen)

    def _believe(self, chain: list[Record]) -> None:
        engine, innermost = self._engine, chain[-1]
        if not self.believed:
            engine.link.note(
                f"no backward pass and no optimizer step so far: {innermost.site} is taken as the loop that trains"
            )
            if engine.first_training is not None:
                engine.first_training(innermost.frame)
        for record in chain:
            if not record.site.trains:
                self.believed.add(record.site)
            record.trained = record.site.trains = True
        for record in chain[:-1]:
            record.site.outer = True

    def trained(self, chain: list[Record]) -> None:
        """The first backward pass, or step: what was believed of loops that are not around it was wrong."""
        self.seen = True
        hooks = self._engine.hooks
        wrong = self.believed - {record.site for record in chain}
        if wrong:
            self._engine.constants.digests.clear()
        self.believed = set()
        for site in wrong:
            site.trains = site.outer = False
        keys = {site.key for site in self._engine.sites if site.trains}
        for context in [hooks.root, *(record.context for record in chain)]:
            context.ended = [past for past in context.ended if past.site in keys]

    def refused(self, taken: Capture, site: Site) -> bool:
        """Whether a state can't be carried of a loop that is only believed to train; the user is told."""
        if site not in self.believed or site.hinted or not taken.opaque or self._engine.settings.allow_partial:
            return False
        listed = "; ".join(described(*each, self._engine.scope.files, site) for each in taken.opaque[:8])
        self._engine.link.warn(
            f"no checkpoint can be made in {site}, which holds what can't be carried: {listed}; --ignore NAME leaves "
            "to a re-run what that makes again as it was"
        )
        return True

    # --- told -------------------------------------------------------------------------------

    def _remind(self) -> None:
        time.sleep(_REMIND_AFTER_S)
        engine = self._engine
        if not (self.seen or self.believed or engine.saves or self._resumes):
            engine.link.warn(f"no training was seen for {_REMIND_AFTER_S:.0f} s, and nothing is saved yet; {_ADVICE}")

    def ended(self) -> None:
        """The script has ended."""
        engine = self._engine
        lasted = engine.clock() - self._begin
        if self._resumes or engine.saves or (lasted < _PATIENCE_S and (self.seen or self._since < 0.0)):
            return
        if not self.seen and not self.believed and engine.step == 0:  # else it was trained in an earlier session
            engine.link.warn(
                "the script has ended, and no training loop was found in it (no backward pass, no optimizer step, "
                f"no loop of more than {_PATIENCE_S:.0f} s): nothing was saved on the way; {_ADVICE}"
            )
        elif self.blocked:
            engine.link.warn(f"the script has ended, and no checkpoint could be made on the way: {self.blocked}")
