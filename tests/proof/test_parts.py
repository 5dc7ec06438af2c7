"""Parts of a proof that need no process."""

import base64
import io
import itertools
import os
import pickle
from pathlib import Path
from signal import SIGKILL, SIGTERM

import numpy as np
import pytest

from survivor.errors import UsageError
from survivor.proof import hints, points, saved, sources
from survivor.proof.compare import Divergence
from survivor.proof.printed import Files, Printed
from survivor.proof.runs import Asked, Runner, Target
from survivor.proof.trace import Event
from survivor.proof.values import describe
from survivor.proof.workplace import Large, Workplace


def kept(array, dtype=None):
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": dtype or str(array.dtype), "shape": list(array.shape), "data": data}


def test_the_difference_of_neighbouring_floats_is_one_ulp():
    a = np.array([1.0, 2.0, -3.0], np.float32)
    b = a.copy()
    b[2] = np.nextafter(b[2], np.float32(0))
    expected, found, words = describe(kept(a), kept(b))
    assert words == "1 of 3 elements differ, largest difference 1 ULP"
    assert expected.startswith("[2] ") and found.startswith("[2] ") and expected != found


def test_ulps_are_counted_across_zero():
    tiny = np.finfo(np.float64).smallest_subnormal
    assert "2 ULP" in describe(kept(np.array([tiny])), kept(np.array([-tiny])))[2]
    assert "0 ULP" in describe(kept(np.array([0.0])), kept(np.array([-0.0])))[2]


def test_bfloat16_is_shown_as_a_number():
    a, b = np.array([0x3F80], np.uint16), np.array([0x3F81], np.uint16)
    assert describe(kept(a, "bfloat16"), kept(b, "bfloat16"))[:2] == ("[0] 1.0", "[0] 1.0078125")


def test_of_a_list_the_first_item_that_differs_is_shown():
    a, b = {"items": ["1", "2", "3"], "len": 3}, {"items": ["1", "5"], "len": 2}
    assert describe(a, b) == ("[1] 2", "[1] 5", "2 of 3 items differ")


def test_a_time_that_two_plain_runs_print_differently_is_not_compared():
    printed = Printed.learn("epoch 1 loss 0.5 in 1.2 s\nepoch 2 loss 0.4 in 1.1 s\n", "epoch 1 loss 0.5 in 1.3 s\nepoch 2 loss 0.4 in 1.1 s\n")
    assert printed.left_out == 2
    assert printed.compare("epoch 1 loss 0.5 in 9.9 s\nepoch 2 loss 0.4 in 7.0 s\n", whole=True) is None


def test_a_loss_beside_a_time_is_compared():
    printed = Printed.learn("epoch 1 loss 0.5 in 1.2 s\n", "epoch 1 loss 0.5 in 1.3 s\n")
    assert printed.compare("epoch 1 loss 0.6 in 1.2 s\n", whole=True)[0] == 1


@pytest.mark.parametrize("text", ["a\n", "a\nb\nc\n", "b\na\n", ""])
def test_a_line_too_few_or_too_many_is_a_difference(text):
    assert Printed.learn("a\nb\n", "a\nb\n").compare(text, whole=True) is not None


def test_a_killed_session_may_have_printed_less():
    printed = Printed.learn("a\nbbb\nc\n", "a\nbbb\nc\n")
    assert printed.compare("a\nbb", whole=False) is None
    assert printed.compare("b\n", whole=False) is not None


def events(kinds):
    """Events with steps counted; ``d`` is the first batch of an epoch."""
    steps, found = 0, []
    for index, kind in enumerate(kinds, 1):
        steps += kind == "S"
        found.append(Event(kind.upper(), index, steps, f"{index:x}", {}, shown="first" if kind == "d" else None))
    return found


def test_kills_are_where_resuming_is_hard():
    # two epochs of four batches, with two batches to an optimizer step
    chosen = points.choose(events("dBDBSDBDBS" * 3), 8, [SIGTERM, SIGKILL], 0)
    reasons = {kill.why for kill in chosen}
    assert {"inside an accumulation window", "at an epoch's start", "at an epoch's end", "in the middle", "after the first step"} <= reasons
    assert [kill.event for kill in chosen] == sorted(kill.event for kill in chosen)
    assert {kill.signal for kill in chosen} == {SIGTERM, SIGKILL}


def test_the_same_seed_chooses_the_same_places():
    one, two, three = (points.choose(events("dBS" + "DBS" * 60), 12, [SIGKILL], seed) for seed in (1, 1, 2))
    assert one == two != three


def test_two_kills_to_a_run_halve_the_number_of_runs():
    chosen = points.choose(events("dBS" + "DBS" * 60), 7, [SIGKILL], 0)
    runs = points.in_runs(chosen)
    assert len(runs) == 4
    assert sorted(itertools.chain(*runs), key=lambda kill: kill.event) == chosen


def test_a_step_that_the_script_never_makes_is_refused():
    with pytest.raises(UsageError, match="makes 2 optimizer steps"):
        points.by_step(events("BSBS"), [3], [SIGKILL])


#: A line of source, and the key of what it makes the scan find.
LINES = {
    "torch.manual_seed(int(time.time()))": "seed-from-outside",
    "rng = np.random.default_rng()": "unseeded-generator",
    "noise = os.urandom(4)": "entropy",
    "n = hash('a')": "builtin-hash",
    "n = id(model)": "builtin-id",
    "for word in set(words): pass": "set-order",
    "n = os.getpid()": "process-number",
    "torch.set_num_threads(n)": "thread-count",
    "names = os.listdir(folder)": "unsorted-listing",
    "t = threading.Thread(target=f)": "threads",
    "torch.backends.cudnn.benchmark = True": "cudnn-benchmark",
    "total.index_add_(0, index, values)": "atomic-adds",
    "begin = time.perf_counter()": "clock",
    "survivor.ignore(model)": "ignored",
    "past = queue.SimpleQueue()": "queue",
    "seen = weakref.WeakKeyDictionary()": "weak-dictionary",
    "n = shared_memory.SharedMemory('n')": "shared-memory",
    "os.putenv('N', '1')": "environment",
    "import torch\nfor i in range(3): torch.n = 1": "library-attribute",
    "for i in range(3):\n    atexit.register(print)": "exit-handler",
    "nn.modules.module.register_module_forward_hook(f)": "global-hook",
    "loop = asyncio.new_event_loop()": "event-loop",
    "log = logging.handlers.MemoryHandler(9)": "log-handler",
    "class Count(logging.Handler): pass": "log-handler",
    "for i in range(3): signal.signal(signal.SIGUSR2, f)": "signal-handler",
    "fd = os.open('a', os.O_RDONLY)": "descriptor",
    "class A:\n    def __del__(self): pass": "finalizer",
    "for i in range(3): n = len(os.listdir(folder))": "listing",
    "model = nn.Linear(3, 1)\ntorch.manual_seed(0)": "seeded-late",
    "n = gc.get_count()": "garbage-collector",
    "torch.set_default_dtype(torch.float64)": "process-flag",
    "a = ctypes.c_int(0)": "foreign-memory",
    "a = np.memmap('a', mode='r+')": "memory-map",
    "b = sqlite3.connect('b')": "database",
    "subprocess.run('x')": "other-process",
    "log = open('log.txt', 'a')": "appended-file",
    "@functools.lru_cache\ndef f(): pass": "cached-function",
    "def f():\n    yield 1": "generator",
    "loader = DataLoader(data, num_workers=2)": "workers",
    "class D(Dataset):\n    def __getitem__(self, i):\n        return np.random.rand()": "numpy-in-dataset",
    "class D(Dataset):\n    def __getitem__(self, i):\n        self.cache = 1": "dataset-cache",
    "x = 1": "nothing-seeded",
}


@pytest.mark.parametrize(("line", "key"), LINES.items())
def test_the_scan_finds_what_the_catalogue_speaks_of(line, key, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(line)
    assert key in {finding.key for finding in sources.scan(tmp_path, script)}


def test_every_entry_of_the_catalogue_can_be_found():
    assert {hint.key for hint in hints.CATALOGUE} == set(LINES.values())


def test_cudnn_is_not_blamed_where_there_is_no_gpu(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("seed(0)\ntorch.backends.cudnn.benchmark = True\nbegin = time.time()\n")
    found = sources.scan(tmp_path, script)
    assert "clock" in hints.find(Divergence("loss"), found, itself=True)[0]
    assert "cudnn.benchmark" in hints.find(Divergence("loss"), found, itself=True, has_gpu=True)[0]
    assert "cudnn" not in hints.find(Divergence("output"), found, itself=True, has_gpu=True)[0]


@pytest.mark.parametrize(
    "line",
    [
        "torch.set_num_threads(2)",
        "os.environ['N'] = '1'",
        "np.random.seed(0)\nclass D(Dataset):\n    def __getitem__(self, i):\n        return np.random.rand()",
    ],
)
def test_what_does_no_harm_is_no_finding(line, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(f"torch.manual_seed(0)\n{line}\n")
    assert not sources.scan(tmp_path, script)


def test_a_sorted_listing_and_a_seeded_generator_are_no_findings(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import os\nrng = default_rng(3)\nfor name in sorted(os.listdir('.')): pass\nfor word in sorted(set('ab')): pass\n")
    assert not sources.scan(tmp_path, script)


@pytest.mark.parametrize(
    "line, found",
    [("nn.Linear.calls += 1", True), ("setattr(nn.Linear, 'calls', 1)", True), ("settings.calls = 1", False)],
)
def test_an_attribute_is_set_on_what_is_installed_and_not_on_the_user_s_own(line, found, tmp_path):
    (tmp_path / "mine.py").write_text("class settings: pass\n")
    script = tmp_path / "train.py"
    script.write_text(f"from torch import nn\nfrom mine import settings\nnn.Linear.calls = 0\nfor i in range(3):\n    {line}\n")
    lines = [each.line for each in sources.scan(tmp_path, script) if each.key == "library-attribute"]
    assert lines == ([5] if found else [])


def test_modules_of_the_scripts_folder_are_scanned_as_well(tmp_path):
    (tmp_path / "train.py").write_text("from data import f\nseed(0)\n")
    (tmp_path / "data.py").write_text("import os\nn = os.getpid()\n")
    found = sources.scan(tmp_path, tmp_path / "train.py")
    assert ("process-number", "data.py", 2) in {(f.key, f.file, f.line) for f in found}


def test_a_cause_of_resuming_is_not_named_for_a_script_that_differs_by_itself(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("past = queue.SimpleQueue()\nn = os.getpid()\nseed(0)\n")
    found = sources.scan(tmp_path, script)
    assert "process number" in hints.find(Divergence("loss"), found, itself=True)[0]
    assert "SimpleQueue" in hints.find(Divergence("loss"), found, itself=False)[0]


def test_a_run_has_a_copy_of_the_folder_and_leaves_the_original_alone(tmp_path):
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    (source / "train.py").write_text("1")
    (source / "data" / "large.bin").write_bytes(bytes(2 << 20))
    (source / ".git").mkdir()
    place = Workplace.make(tmp_path / "run", source)
    assert (place.work / "train.py").read_text() == "1"
    assert (place.work / "data" / "large.bin").is_symlink()
    assert not (place.work / ".git").exists()
    (place.work / "train.py").write_text("2")
    (place.work / "new.txt").write_text("3")
    assert (source / "train.py").read_text() == "1"
    assert set(place.written()) == {"new.txt", "train.py"}


def test_a_run_inside_the_folder_is_not_copied_into_itself(tmp_path):
    (tmp_path / "train.py").write_text("1")
    place = Workplace.make(tmp_path / "runs" / "1", tmp_path)
    assert not (place.work / "runs" / "1" / "work").exists()
    assert Path(place.work / "train.py").is_file()


@pytest.fixture
def folder(tmp_path):
    """A working folder with a large file in it."""
    source = tmp_path / "folder"
    source.mkdir()
    (source / "data.bin").write_bytes(bytes(3 << 20))
    return source


def test_what_a_run_writes_to_a_large_file_does_not_reach_the_user_s(folder, tmp_path):
    large = Large(tmp_path / "large")
    first = Workplace.make(tmp_path / "1", folder, large)
    assert not large.settle()
    with (first.work / "data.bin").open("r+b") as file:
        file.write(b"changed")
    assert (folder / "data.bin").read_bytes() == bytes(3 << 20)
    # from then on each run has a copy of its own, as it was in the beginning
    assert large.settle() and not large.settle()
    second = Workplace.make(tmp_path / "2", folder, large)
    assert not (second.work / "data.bin").is_symlink()
    assert (second.work / "data.bin").read_bytes() == bytes(3 << 20)
    with (second.work / "data.bin").open("ab") as file:
        file.write(b"more")
    assert set(second.written()) == {"data.bin"}


@pytest.mark.parametrize("line", ["open('data.bin', 'ab')", "import os; os.open('data.bin', os.O_RDWR)", "import os; os.truncate('data.bin', 0)"])
def test_a_file_that_is_too_large_to_be_copied_can_only_be_read(line, folder, tmp_path):
    (folder / "train.py").write_text(f"print(len(open('data.bin', 'rb').read()))\n{line}\n")
    runner = Runner(Target(words=("train.py",), folder=folder), tmp_path / "runs")
    runner.large = Large(tmp_path / "large", most_bytes=1 << 20)
    session, _ = runner.plain("plain", Asked())
    assert session.out == f"{3 << 20}\n"
    assert session.code == 1 and "is your own file, too large to be copied" in session.err
    assert (folder / "data.bin").read_bytes() == bytes(3 << 20)


def test_a_pickle_is_the_same_whichever_of_its_equal_strings_are_one_object():
    word = "".join(["mo", "mentum"])
    one, two = pickle.dumps([word, word]), pickle.dumps([word, "".join(["mo", "mentum"])])
    assert one != two and saved.same(one, two)
    assert not saved.same(one, pickle.dumps([word, "lr"]))
    assert not saved.same(pickle.dumps([0.0]), pickle.dumps([-0.0]))
    assert not saved.same(pickle.dumps([1]), pickle.dumps([True]))


def test_a_saved_model_is_compared_by_its_bits():
    import torch

    def written(value, name="a"):
        file = io.BytesIO()
        torch.save({"name": name, "value": value, "again": [value]}, file)
        return file.getvalue()

    a = torch.arange(4.0)
    assert saved.same(written(a), written(a.clone()))
    assert not saved.same(written(a), written(torch.nextafter(a, a + 1)))
    assert not saved.same(written(a), written(a.to(torch.int32)))
    assert not saved.same(written(a), written(a.reshape(2, 2)))
    assert not saved.same(written(a), written(a, "b"))


def test_nothing_that_a_pickle_names_is_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    data = pickle.dumps(Hostile())
    assert saved.same(data, data + b"")
    assert not saved.same(data, b"\x80not a pickle")
    assert not (tmp_path / "made").exists()


def test_a_file_that_the_plain_script_does_not_write_is_a_difference(tmp_path):
    source = tmp_path / "folder"
    source.mkdir()
    first, second, third = (Workplace.make(tmp_path / name, source) for name in "123")
    for place, stamp in ((first, 20260101), (second, 20260102), (third, 20260103)):
        (place.work / f"log-{stamp}.txt").write_text("a")
    files = Files.learn(first, second)
    assert files.compare(third) is None
    (third.work / "more.txt").write_text("b")
    assert files.compare(third).kind == "more.txt"
