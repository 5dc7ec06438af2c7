"""A bench for mutants: one plain script, traced once, and interrupted runs of it under mutated survivors."""

import importlib.util
import os
import tempfile
from pathlib import Path
from signal import SIGKILL, SIGTERM

from survivor.proof import compare
from survivor.proof.printed import Files, Printed
from survivor.proof.runs import Asked, Job, Kill, Runner, Target
from survivor.proof.verify import Check

HERE = Path(__file__).parent
MUTANTS = HERE / "mutants"
#: What only a script that seeds nothing and follows the order of sets can show.
OF_UNSEEDED = ("hash_seed", "first_seeds")


class Bench:
    """The plain runs of a script, to compare interrupted ones with."""

    def __init__(self, script, seed):
        self.scratch = tempfile.TemporaryDirectory(prefix="mutants-")
        folder = Path(self.scratch.name) / "folder"
        folder.mkdir()
        (folder / script.name).write_bytes(script.read_bytes())
        self.runner = Runner(Target(words=(script.name,), folder=folder, seed=seed), Path(self.scratch.name) / "runs")
        (first, place), (second, other) = (self.runner.plain("plain", Asked()) for _ in range(2))
        assert first.code == second.code == 0, first.err
        different, masked = compare.by_itself(first.trace, second.trace)
        assert different is None, different
        self.reference = compare.Reference(first.trace, masked)
        self.printed, self.files, self.home = Printed.learn(first.out, second.out), Files.learn(place, other), place.work
        self.steps = [event.index for event in first.trace.events if event.kind == "S"]
        self.beats = [event.index for event in first.trace.events if event.kind == "B"]

    @classmethod
    def of(cls, name, seed=None):
        return cls(MUTANTS / f"{name}.py", seed)

    @staticmethod
    def names():
        spec = importlib.util.spec_from_file_location("survivor_mutants", MUTANTS / "sitecustomize.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return list(module.MUTANTS)

    def try_out(self, mutant, signal=None):
        """What the first difference is under a mutant, in words; "" if all is equal."""
        # in the second epoch, between two backward passes of one window
        at = self.beats[len(self.beats) // 2 + 4]
        number = signal or (SIGKILL if mutant in ("file_not_cut_back", "printed_again", None) else SIGTERM)
        job = Job(1, (), self.runner.place(mutant or "none"))
        check = Check(self.reference, self.printed, self.home, job)
        before = dict(os.environ)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(MUTANTS), *filter(None, [before.get("PYTHONPATH")])])
        os.environ["SURVIVOR_MUTANT"] = mutant or ""
        try:
            for kill in (Kill(at, number), None):
                session = self.runner.session(job, kill, Asked())
                different = check.session(session)
                if different is None and kill is None:
                    different = check.end(session, self.files, cut=False)
                if different is not None:
                    return f"{different.stage} {self._words(different)}"
        finally:
            os.environ.clear()
            os.environ.update(before)
        return ""

    @staticmethod
    def _words(different):
        where = different.leaves[0].path if different.leaves else ", ".join(different.streams)
        more = f" (+{len(different.leaves) - 1})" if len(different.leaves) > 1 else ""
        last = f" | {different.detail[-1][:80]}" if different.detail else ""
        return f"at step {different.at_step}: {where}{more}{last}"
