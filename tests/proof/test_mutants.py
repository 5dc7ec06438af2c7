"""Survivor is mutated, one piece of restored state at a time: the proof must see each."""

import os
import sys
from pathlib import Path

import pytest
from mutating import MUTANTS, OF_UNSEEDED, Bench

sys.path.insert(0, str(Path(__file__).parent.parent))

import twin

#: The others are slow ones.
QUICK = ("torch_stream", "optimizer_states_swapped")


@pytest.fixture(scope="module")
def bench():
    made = Bench.of("everything")
    yield made
    made.scratch.cleanup()


@pytest.fixture(scope="module")
def unseeded():
    made = Bench.of("unseeded", seed=3)
    yield made
    made.scratch.cleanup()


def names():
    rest = [name for name in Bench.names() if name not in OF_UNSEEDED]
    return [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in rest]


def test_without_a_mutant_all_is_equal(bench):
    assert bench.try_out(None) == ""


@pytest.mark.parametrize("mutant", names())
def test_what_a_mutant_leaves_out_is_missed(bench, mutant):
    assert bench.try_out(mutant) != ""


@pytest.mark.slow
@pytest.mark.parametrize("mutant", OF_UNSEEDED)
def test_what_a_mutant_leaves_out_of_the_seeds_is_missed(unseeded, mutant):
    assert unseeded.try_out(None) == ""
    assert unseeded.try_out(mutant) != ""


@pytest.mark.parametrize("mutant", ["numpy_stream", "torch_stream"])
def test_a_twin_run_of_our_own_tests_misses_it_as_well(mutant, monkeypatch):
    twin.plain_run("everywhere_rng.py")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(MUTANTS), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("SURVIVOR_MUTANT", mutant)
    with pytest.raises(AssertionError, match="does NOT resume exactly"):
        twin.twin("everywhere_rng.py", "S9 TERM")
