"""A closer look at the first difference: what differs is run once more, up to there, with its values kept."""

from __future__ import annotations

import itertools
import linecache
import os
from collections.abc import Sequence
from typing import Any

from survivor.proof import compare
from survivor.proof.compare import Divergence, Leaf, by_event
from survivor.proof.report import Report
from survivor.proof.runs import Asked, Job, Runner
from survivor.proof.trace import Event, Mark, State, Trace
from survivor.proof.values import describe

_EVENT_STAGES = ("order", "batch", "loss", "step", "state", "random")


class Closer:
    """Fills a report's particulars in.

    Args:
        runner: starts the runs.
        report: gets the values, the line and the place.
        sample: state was walked at about one of so many steps.
        masked: leaves that are not compared.
    """

    def __init__(
        self, runner: Runner, report: Report, sample: int = 1, masked: frozenset[str] = frozenset()
    ) -> None:
        self._runner = runner
        self._report = report
        self._sample = sample
        self._masked = masked

    def two_plain_runs(self, different: Divergence) -> None:
        """Two plain runs differ."""
        self._report.where = "two plain runs of the script"
        if different.stage not in _EVENT_STAGES:
            return
        if self._is_coarse(different):
            closely = self._closely(different, 0)
            first, second = (self._runner.plain(f"closely{i}", closely)[0].trace for i in (1, 2))
            self._narrow(different, compare.by_itself(first, second)[0])
        asked = self._at_event(different, different.since)
        traces = [self._runner.plain(f"again{i}", asked)[0].trace for i in (1, 2)]
        self._look(different, traces[0], traces[1])

    def interrupted_run(self, job: Job, different: Divergence) -> None:
        """An interrupted run differs from the plain one."""
        number = len(job.sessions)
        self._report.where = self._name(job)
        if different.stage == "restore":
            asked = Asked(dump_checkpoint=True, until=different.index + 1)
            again = self._again(job, Asked(dump_checkpoint=True), asked)
            saved: dict[int, tuple[Mark, State]] = {}
            for session in again.sessions[:-1]:
                saved |= compare.checkpoints(session.trace)
            for mark, state in compare.restores(again.sessions[-1].trace):
                if mark.step in saved:
                    self._values(different, saved[mark.step][1].values, state.values)
        elif different.stage in _EVENT_STAGES:
            begin = job.sessions[-1].trace.begin
            if self._is_coarse(different):
                closely = self._closely(different, begin)
                expected = self._runner.plain("closely", closely)[0].trace
                found = self._again(job, Asked(sample=self._sample), closely).sessions[-1].trace
                self._narrow(different, compare.Reference(expected, self._masked).compare(found, begin))
            since = max(different.since, begin)
            plain = self._runner.plain("again", self._at_event(different, since))[0]
            again = self._again(job, Asked(sample=self._sample), self._at_event(different, since))
            if len(again.sessions) == number:
                self._look(different, plain.trace, again.sessions[-1].trace)

    # --- state that was walked at some steps only ----------------------------------------------------

    def _is_coarse(self, different: Divergence) -> bool:
        """Whether state may have differed at an earlier event, at which it was not looked at."""
        return self._sample > 1 and different.index > different.walked + 1

    def _closely(self, different: Divergence, begin: int) -> Asked:
        return Asked(sample=self._sample, closely=max(different.walked, begin), until=different.index)

    def _narrow(self, different: Divergence, found: Divergence | None) -> None:
        """Take the first difference of the runs that were walked at each event from the last equal walk on."""
        if found is None or found.index > different.index or found.stage not in _EVENT_STAGES:
            return
        note = f"state was walked at 1 of {self._sample} steps; then at each event from {different.walked + 1}"
        self._report.notes.append(f"{note} to {different.index}")
        for name, value in vars(found).items():
            setattr(different, name, value)

    def _at_event(self, different: Divergence, since: int) -> Asked:
        lines = since if different.streams else None
        return Asked(sample=self._sample, dump=different.index, until=different.index, lines=lines)

    def _again(self, job: Job, before: Asked, last: Asked) -> Job:
        """The same interrupted run, from its beginning to the session that differs."""
        again = Job(job.number, job.kills, self._runner.place(f"run{job.number}-again"))
        for i, session in enumerate(job.sessions):
            is_last = i == len(job.sessions) - 1
            self._runner.session(again, session.kill, last if is_last else before)
        return again

    @staticmethod
    def _name(job: Job) -> str:
        kills = []
        for session in job.sessions[:-1]:
            if session.kill is not None:
                mark = next((m for m in reversed(session.trace.marks) if m.kind == "C"), None)
                place = f"saved at {mark.position}, step {mark.steps}" if mark is not None else "before any checkpoint"
                kills.append(f"{session.kill.signal.name} ({place})")
        return f"interrupted run {job.number}, session {len(job.sessions)}" + (
            f", after {', then '.join(kills)}" if kills else ", before any kill"
        )

    # --- what was kept --------------------------------------------------------------------------

    def _look(self, different: Divergence, expected: Trace, found: Trace) -> None:
        self._report.draw = self._first_draw(different.streams, expected, found)
        mine, theirs = _at(expected, different.index), _at(found, different.index)
        if mine is None or theirs is None:
            return
        (a, state), (b, other) = mine, theirs
        if different.stage == "batch" and isinstance(a.shown, dict) and isinstance(b.shown, dict):
            for key in dict.fromkeys([*a.shown, *b.shown]):
                if a.shown.get(key) != b.shown.get(key):
                    path = key.partition("|")[2]
                    different.leaves.insert(0, Leaf(path, key, key))
                    self._report.values = describe(a.shown.get(key), b.shown.get(key))
                    return
        if state is None or other is None:
            return
        if not different.leaves:
            different.leaves = compare.differing(state, other)[0]
        different.leaves.sort(key=lambda leaf: _rank(leaf, state.values))
        self._values(different, state.values, other.values)

    def _values(self, different: Divergence, expected: dict[str, Any], found: dict[str, Any]) -> None:
        if different.leaves:
            leaf = different.leaves[0]
            mine, theirs = expected.get(leaf.expected_key), found.get(leaf.found_key)
            if mine is not None or theirs is not None:
                self._report.values = describe(mine, theirs)

    @staticmethod
    def _first_draw(streams: Sequence[str], expected: Trace, found: Trace) -> str:
        """The first line that drew from one of these streams in one run and not, or elsewhere, in the other."""
        ours, theirs = (
            [(os.path.basename(file), line, file) for file, line, moved in trace.draws if set(moved) & set(streams)]
            for trace in (expected, found)
        )
        pairs = list(itertools.zip_longest(ours, theirs))
        apart = [(mine, other) for mine, other in pairs if (mine and mine[:2]) != (other and other[:2])]
        if not pairs:
            return ""
        mine, other = (apart or pairs)[0]  # where the draws are the same, the first of them shows the other values
        at = other or mine
        text = linecache.getline(at[2], at[1]).strip()
        who = "" if mine and other else " (in the first run only)" if mine else " (in the second run only)"
        return f"{at[0]}:{at[1]}: {text}{who}"


def _rank(leaf: Leaf, values: dict[str, Any]) -> int:
    """The nearer to a cause the lower: generators and plain values before tensors, results last."""
    kept = values.get(leaf.expected_key) or {}
    if leaf.path.endswith(".grad") or "loss" in leaf.path:
        return 3
    if "dtype" in kept:
        return 2
    return 0 if any(word in str(kept.get("text", "")) for word in ("PCG64", "MT19937", "Philox", "SFC64")) else 1


def _at(trace: Trace, index: int) -> tuple[Event, State | None] | None:
    for event, state in by_event(trace):
        if event.index == index:
            return event, state
    return None
