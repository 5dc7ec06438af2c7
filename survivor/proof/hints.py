"""The catalogue of causes: what of the script's source and of a divergence points to which, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from survivor.proof.compare import Divergence
from survivor.proof.sources import Finding


@dataclass(frozen=True)
class Hint:
    """One cause.

    Attributes:
        key: of the finding in the source that points to it.
        itself: it makes two plain runs differ.
        resumed: it makes a resumed run differ from a plain one.
        text: what happens, and what to do.
        paths: parts of a path in the state, or of a suspect's, that make it likely.
        stages: stages of divergence that it fits; all, if empty.
        needs_gpu: without a GPU it can't be the cause.
    """

    key: str
    text: str
    itself: bool = False
    resumed: bool = False
    paths: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    needs_gpu: bool = False


#: In the order in which they are considered: the specific before the general.
CATALOGUE = (
    Hint("seed-from-outside", "a seed comes from the clock, the system's randomness or a process number: "
         "use a constant, or take it from the command line", itself=True),
    Hint("unseeded-generator", "a random generator is made without a seed: give it one", itself=True),
    Hint("entropy", "random bytes of the system can't be drawn twice: draw from a seeded generator", True, True),
    Hint("builtin-hash", "hash() of a string is another in each process: use hashlib or zlib.crc32", itself=True),
    Hint("builtin-id", "id() is an address, another in each process: number the objects yourself", itself=True),
    Hint("set-order", "a set of strings iterates in another order in each process: use sorted(…)", True, True,
         ("set",)),
    Hint("process-number", "a process number is another each time: don't compute with it", itself=True),
    Hint("thread-count", "with another number of threads sums are rounded in another order: set it to a constant",
         True, True, ("get_num_threads",)),
    Hint("unsorted-listing", "a folder's listing comes in no promised order: use sorted(…)", True, True),
    Hint("threads", "threads finish in another order each time: collect their results in the order of the tasks",
         True, True),
    Hint("numpy-in-dataset", "a data set draws from NumPy's generator, which torch.manual_seed() does not seed: call "
         "np.random.seed(…) too, or draw from torch's", itself=True),
    Hint("cudnn-benchmark", "cudnn.benchmark picks kernels by their time: set torch.backends.cudnn.benchmark = False",
         True, True, stages=("loss", "step"), needs_gpu=True),
    Hint("atomic-adds", "these sums are added in any order (on a GPU; with more than one thread on a CPU too, where "
         "index_put_ adds): torch.use_deterministic_algorithms(True) finds another way or says so", True, True,
         stages=("loss", "step")),
    Hint("clock", "the clock decides what is computed: decide by steps", True, True),
    Hint("nothing-seeded", "nothing is seeded: call torch.manual_seed(…), random.seed(…) and np.random.seed(…) first, "
         "or verify with --seed 0, which seeds them for you", itself=True),
    Hint("seeded-late", "a model or random numbers are made before anything is seeded: seed first", itself=True),
    Hint("ignored", "survivor.ignore() leaves this object to re-execution, but it changes in training", resumed=True),
    Hint("cached-function", "what functools.lru_cache keeps is carried, but not the counts of its cache_info(): count "
         "in a variable", resumed=True, paths=("cache_info",)),
    Hint("queue", "the contents of a SimpleQueue are not carried: use queue.Queue or collections.deque", resumed=True),
    Hint("weak-dictionary", "what a weak dictionary holds is not carried: use a dict", resumed=True),
    Hint("shared-memory", "memory that processes share is not carried: keep the value in an object too", resumed=True),
    Hint("environment", "what os.putenv() sets is not carried: set it in os.environ, which is", resumed=True),
    Hint("exit-handler", "what was registered with atexit while training is not registered in a resumed process: "
         "register it before the loop", resumed=True, stages=("output", "files")),
    Hint("global-hook", "a hook for all modules or optimizers belongs to one process: register it before the loop, or "
         "on the module itself", resumed=True),
    Hint("event-loop", "the tasks of an event loop are not carried: let each iteration run its own to their end",
         resumed=True),
    Hint("log-handler", "what a logging handler has gathered is not carried: keep it in a list", resumed=True),
    Hint("garbage-collector", "when garbage is collected is another in each process: don't compute with it",
         True, True),
    Hint("signal-handler", "a signal's handler that training has set is not set in a resumed process: set it before "
         "the loop", resumed=True),
    Hint("descriptor", "where a descriptor of os.open() stands is not carried: use open()", resumed=True),
    Hint("finalizer", "objects that refer to themselves end when garbage is collected, at another time in each "
         "process: draw nothing in __del__", True, True, stages=("random", "loss", "end")),
    Hint("library-attribute", "an attribute of an installed module or class is not carried: keep the value in a "
         "variable of your own", resumed=True),
    Hint("process-flag", "a flag of the process is set while training, and a resumed process begins without it: set "
         "it in every iteration, or before the loop", resumed=True, paths=("torch.", "numpy.", "sys.", "decimal.")),
    Hint("foreign-memory", "memory of C code is not carried: keep the value in an object", resumed=True),
    Hint("memory-map", "a mapped file is the file: what was written after the checkpoint stays in it", resumed=True),
    Hint("database", "a database is not taken back to the checkpoint: what was written after it stays", resumed=True),
    Hint("other-process", "what another process has done is not taken back to the checkpoint", resumed=True),
    Hint("dataset-cache", "a data set keeps what it has drawn, in its worker processes too, and a resumed run draws "
         "anew: draw each time, or fill the cache before training", True, True),
    Hint("appended-file", "a file that is appended to and read again has more lines than at the checkpoint: keep in "
         "variables what training needs", resumed=True),
    Hint("listing", "files and folders that were made after the checkpoint may still be there: keep in variables what "
         "training needs", resumed=True),
    Hint("generator", "a generator of your own is put back by running it again: what it does on the way must have no "
         "effect", resumed=True),
    Hint("workers", "loader workers are other processes: what they keep is theirs", resumed=True),
    Hint("nothing-seeded", "nothing is seeded: call torch.manual_seed(…) first", resumed=True),
)


def find(
    divergence: Divergence, findings: Sequence[Finding], *, itself: bool, has_gpu: bool = False
) -> tuple[str, Finding | None]:
    """The likeliest cause in words, and the place in the source that points to it."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.key, finding)
    fitting = [
        hint
        for hint in CATALOGUE
        if hint.key in first
        and (hint.itself if itself else hint.resumed)
        and (not hint.stages or divergence.stage in hint.stages)
        and (has_gpu or not hint.needs_gpu)
    ]
    paths = [leaf.path for leaf in divergence.leaves] + divergence.suspects
    told = [hint for hint in fitting if any(part in path for part in hint.paths for path in paths)]
    for hint in [*told, *fitting]:
        return hint.text, first[hint.key]
    return _general(divergence, itself=itself), None


def _general(divergence: Divergence, *, itself: bool) -> str:
    if divergence.stage == "restore":
        return "this object is not carried as it stood: survivor.track(name=object) carries what no variable leads to"
    if divergence.streams and not itself:
        return f"the {divergence.streams[0]} stream was drawn from once more or once less than in the plain run"
    if divergence.stage in ("loss", "step") and not divergence.leaves:
        return "a kernel that is not deterministic: try torch.use_deterministic_algorithms(True) and OMP_NUM_THREADS=1"
    return "no known cause stands in the source; see docs/verify.md for how to look further"
