"""The proof in words: a short table when all is equal, the first difference when it isn't."""

from __future__ import annotations

from dataclasses import dataclass, field
from signal import Signals
from typing import Any

from survivor.proof.compare import Divergence

_STAGES = {
    "restore": "the state right after the restore is not the state at the checkpoint",
    "order": "the script does something else",
    "batch": "a batch holds other data",
    "loss": "a loss has other bits",
    "step": "an optimizer step leaves other bits",
    "state": "the script's state is another",
    "random": "a random stream stands elsewhere",
    "end": "a random stream stands elsewhere at the end",
    "output": "something else is printed",
    "files": "a file that the script writes is another",
    "crash": "a session failed",
    "refused": "survivor refuses the script",
    "lost": "a session went on from a checkpoint that nobody saw",
}


#: Of ``survivor verify``; docs/exit-codes.md has the same table.
EXIT_CODES = {"exact": 0, "differs": 10, "by itself": 11, "failed": 12, "refused": 5}


@dataclass
class Row:
    """One kill.

    Attributes:
        run: number of the interrupted run.
        step, position: where the checkpoint was that the next session went on from.
        signal: that ended the session.
        why: the place was chosen.
        leaves: of the state that were compared after the restore.
        events: that were compared in the session that followed.
    """

    run: int
    step: int
    position: str
    signal: Signals
    why: str
    leaves: int = 0
    events: int = 0


@dataclass
class Report:
    """What a proof has found.

    Attributes:
        target: the command line.
        outcome: ``"exact"``, ``"differs"``, ``"by itself"`` (two plain runs differ), ``"refused"`` or ``"failed"``.
        divergence: the first difference.
        rows: kills, in the order of the runs.
        notes: what was left out.
    """

    target: str
    outcome: str = "exact"
    divergence: Divergence | None = None
    where: str = ""
    values: tuple[str, str, str] = ("", "", "")
    draw: str = ""
    hint: str = ""
    place: str = ""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    err: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether every comparison came out equal."""
        return self.outcome == "exact"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return EXIT_CODES[self.outcome]

    def text(self) -> str:
        """For people."""
        lines = self._success() if self.is_exact else self._failure()
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _success(self) -> list[str]:
        numbers = self.numbers
        lines = [f"{self.target}: resumes exactly"]
        lines.append(
            f"  {numbers.get('steps', 0)} optimizer steps, {numbers.get('events', 0)} events, two plain runs equal; "
            f"{len(self.rows)} kills in {numbers.get('runs', 0)} interrupted runs"
        )
        lines.append("  run  signal   continued at                 why                               state  events")
        for row in self.rows:
            position = f"{row.position} (step {row.step})" if row.position else "its start"
            lines.append(
                f"  {row.run:>3}  {row.signal.name:<8} {position:<28} {row.why:<32} {row.leaves:>6} {row.events:>7}"
            )
        return lines

    def _failure(self) -> list[str]:
        different = self.divergence
        heads = {
            "by itself": "is not deterministic by itself: two plain runs differ, and the resume is not to blame",
            "refused": "can't be resumed: survivor refuses to train it",
            "failed": "could not be verified",
        }
        lines = [f"{self.target}: {heads.get(self.outcome, 'does NOT resume exactly')}"]
        if different is None:
            return [*lines, *(f"  | {line}" for line in self.err.strip().splitlines()[-12:])]
        if self.outcome != "refused":
            lines.append(f"  first difference: {_STAGES[different.stage]}")
        if different.stage == "output":
            lines.append(f"  printed line:     {different.kind}")
        elif different.stage == "files":
            lines.append(f"  file:             {different.kind}")
        elif different.stage not in ("crash", "refused", "lost"):
            when = f"after {different.step} steps" if different.stage == "restore" else f"step {different.at_step}"
            lines.append(f"  where:            {when} (event {different.index})")
        if self.where:
            lines.append(f"  the run:          {self.where}")
        lines += self._leaf(different)
        if different.streams:
            lines.append(f"  random streams:   not equal: {', '.join(different.streams)}")
        if self.draw:
            lines.append(f"  drawn from at:    {self.draw}")
        if different.suspects:
            lines.append(f"  not carried:      {', '.join(different.suspects[:4])}")
        lines += [f"  | {line}" for line in different.detail]
        if self.hint:
            lines.append(f"  hint:             {self.hint}")
        if self.place:
            lines.append(f"  look at:          {self.place}")
        return lines

    def _leaf(self, different: Divergence) -> list[str]:
        lines = []
        if different.leaves:
            more = f"  (and {len(different.leaves) - 1} more)" if len(different.leaves) > 1 else ""
            lines.append(f"  state:            {different.leaves[0].path}{more}")
        expected, found, words = self.values
        expected, found = expected or different.expected, found or different.found
        if different.stage in ("crash", "refused"):
            lines.append(f"  it ended with:    {found}")
        elif expected or found:
            lines.append(f"  expected:         {expected}")
            lines.append(f"  found:            {found}")
        if words:
            lines.append(f"  difference:       {words}")
        return lines
