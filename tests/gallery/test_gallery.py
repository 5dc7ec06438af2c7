"""Scripts with one planted fault each, in which the proof must name the step and the place, and their mended twins."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from survivor.testing import verify

HERE = Path(__file__).parent
#: The step after which each interrupted run is killed, and the one in which a fault of resuming shows.
KILLED, SHOWN = 5, 6


@dataclass(frozen=True)
class Fault:
    """What a proof must say of a faulty script.

    ``stage`` is "" where it depends on bits that are lost. ``has_gpu``: it imitates on a CPU what a GPU does, and the
    proof is told that there is one. ``path`` is a part of one of the paths in the state, of the drawing line or of a suspect's; ``hint`` a part of the hint.
    """

    name: str
    outcome: str
    stage: str
    step: int
    path: str
    hint: str
    slow: bool = True
    has_gpu: bool = False


FAULTS = [
    # not deterministic by themselves
    Fault("seed_from_clock", "by itself", "loss", 1, "torch", "a seed comes from the clock", slow=False),
    Fault("generator_in_closure", "by itself", "loss", 1, "noise.<rng>", "without a seed"),
    Fault("generator_in_worker", "by itself", "batch", 1, "batch", "without a seed"),
    Fault("nothing_seeded", "by itself", "loss", 1, "torch", "nothing is seeded"),
    Fault("set_order", "by itself", "loss", 1, "vocabulary", "a set of strings"),
    Fault("system_randomness", "by itself", "loss", 1, "", "random bytes of the system"),
    Fault("hash_of_text", "by itself", "loss", 1, "scale", "hash() of a string"),
    Fault("address", "by itself", "loss", 1, "scale", "id() is an address"),
    Fault("process_number", "by itself", "loss", 1, "scale", "a process number"),
    Fault("order_of_threads", "by itself", "loss", 1, "", "threads finish in another order"),
    Fault("clock_in_loop", "by itself", "step", 1, "begin", "the clock decides"),
    Fault("seeded_late", "by itself", "loss", 1, "model.weight", "before anything is seeded"),
    Fault("numpy_in_dataset", "by itself", "batch", 1, "numpy", "np.random.seed"),
    Fault("thread_count", "by itself", "", 1, "torch.get_num_threads()", "number of threads"),
    Fault("unsorted_listing", "by itself", "loss", 1, "noise", "a folder's listing"),
    Fault("atomic_adds", "by itself", "", 1, "", "added in any order"),
    Fault("cudnn_benchmark", "by itself", "", 1, "", "cudnn.benchmark picks kernels", has_gpu=True),
    # deterministic, and yet not resumed exactly
    Fault("ignored_average", "differs", "restore", KILLED, "average", "survivor.ignore()"),
    Fault("cache_in_worker", "differs", "batch", SHOWN, "batch", "a data set keeps what it has drawn"),
    Fault("environment", "differs", "loss", SHOWN, "", "os.environ", slow=False),
    Fault("library_attribute", "differs", "loss", SHOWN, "", "an attribute of an installed module"),
    Fault("weak_dictionary", "refused", "refused", 0, "counts (weakref.WeakKeyDictionary", ""),
    Fault("weak_set", "refused", "refused", 0, "alive (_weakrefset.WeakSet", ""),
    Fault("flush_denormal", "differs", "loss", SHOWN, "", "a flag of the process"),
    Fault("appended_file", "differs", "step", SHOWN, "optimizer.param_groups[0]['lr']", "appended to"),
    Fault("database", "differs", "step", SHOWN, "optimizer.param_groups[0]['lr']", "a database"),
    Fault("other_process", "differs", "step", SHOWN, "optimizer.param_groups[0]['lr']", "another process"),
    Fault("results_by_shell", "differs", "files", 0, "results.dat", "another process"),
    Fault("printed_count", "differs", "output", 0, "", "cache_info()"),
    Fault("library_class", "differs", "loss", SHOWN, "", "an attribute of an installed module or class"),
    Fault("exit_handler", "differs", "output", 0, "", "registered with atexit"),
    Fault("signal_handler", "differs", "loss", SHOWN, "scale", "a signal's handler"),
    Fault("file_descriptor", "differs", "loss", SHOWN, "", "a descriptor of os.open()"),
    Fault("random_in_finalizer", "differs", "random", 0, "python", "draw nothing in __del__"),
    Fault("global_hook", "differs", "loss", SHOWN, "", "a hook for all modules"),
    Fault("event_loop", "refused", "refused", 0, "events (asyncio.unix_events", ""),
    Fault("log_handler", "differs", "loss", SHOWN, "", "what a logging handler has gathered"),
    Fault("folder_listed", "differs", "loss", SHOWN, "", "made after the checkpoint"),
    Fault("shared_memory", "differs", "loss", SHOWN, "count", "memory that processes share"),
    Fault("simple_queue", "refused", "refused", 0, "counts (_queue.SimpleQueue", ""),
    Fault("garbage_collector", "differs", "loss", 1, "", "when garbage is collected"),
    Fault("foreign_memory", "differs", "loss", SHOWN, "", "memory of C code"),
    Fault("memory_map", "differs", "loss", SHOWN, "", "a mapped file is the file"),
    Fault("workers", "differs", "batch", SHOWN, "batch", "loader workers are other processes"),
    Fault("lock_file", "differs", "crash", 0, "another process trains here", "another process"),
]


def proof_of(kind, name):
    return verify(HERE / kind / f"{name}.py", kill_at=KILLED, signals=["kill"])


def parameters(mended):
    # a mended twin takes the whole proof, so most of them are slow ones
    quick = {"environment"} if mended else {f.name for f in FAULTS if not f.slow}
    return [pytest.param(f, id=f.name, marks=[] if f.name in quick else [pytest.mark.slow]) for f in FAULTS]


@pytest.mark.parametrize("fault", parameters(mended=False))
def test_a_planted_fault_is_found_where_it_is(fault, monkeypatch):
    if fault.has_gpu:
        monkeypatch.setattr("survivor.proof.verify.has_gpu", lambda: True)
    report = proof_of("faulty", fault.name)
    text = report.text()
    assert report.outcome == fault.outcome, text
    different = report.divergence
    assert different.stage == (fault.stage or different.stage), text
    if fault.step:
        assert different.at_step == fault.step, text
    places = [*(leaf.path for leaf in different.leaves), *different.suspects, *different.streams, *different.detail]
    assert any(fault.path in place for place in [*places, report.draw, different.kind]), text
    assert fault.hint in report.hint, text


@pytest.mark.parametrize("fault", parameters(mended=True))
def test_its_mended_twin_passes(fault):
    report = proof_of("mended", fault.name)
    assert report.is_exact, report.text()
    assert any(row.step == KILLED and row.position for row in report.rows), report.text()


def test_each_fault_has_a_mended_twin_and_there_are_at_least_twenty():
    names = sorted(fault.name for fault in FAULTS)
    assert len(names) >= 20
    for kind in ("faulty", "mended"):
        assert sorted(path.stem for path in (HERE / kind).glob("*.py")) == names
