"""Loops that are entered very often cost next to nothing: the engine's work is counted here, and not the time."""

import json
import subprocess
import sys

#: Runs a script in an engine whose clock moves by 10 µs at each look, and by 5 ms for each state that is read.
COUNTING = """
import collections, json, sys
from pathlib import Path
from survivor.training import engine as engines, program
from survivor.training.settings import Settings

counts, now = collections.Counter(), [0.0]
def clock():
    now[0] += 1e-5
    return now[0]
class Link:
    settled = staticmethod(lambda: None)
    beat = staticmethod(lambda now_s: None)
    def save(self, snapshot, *, final, needed=False):
        counts["saves"] += bool(snapshot.document["levels"])
    note = warn = staticmethod(lambda text: print(text, file=sys.stderr))
class Engine(engines.Engine):
    def head(self, record):
        counts["heads of " + record.site.label] += 1
        super().head(record)
def capture(*args, _capture=engines.capture, **options):
    counts["captures"] += 1
    now[0] += 5e-3
    return _capture(*args, **options)
engines.capture = capture
engine = Engine(Link(), Settings(), Path.cwd())
engine.clock = clock
engine.begin(None)
path = str(Path("script.py").resolve())
source = Path(path).read_bytes()
main = program.make_main(program.Program(source=source, filename=path, argv0=path, loader=None))
exec(engine.compile(source, path, "__main__"), main.__dict__)
engine.finish()
print(json.dumps(counts | {"lasted_s": now[0]}))
"""


def counted(folder, source):
    (folder / "script.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", COUNTING], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


HELPER = """
import torch
w = torch.zeros(2, requires_grad=True)
def parts(x):
    found = []
    for part in x:
        found.append(torch.relu(part))
    return found
for step in range(3000):
    (w - step).pow(2).sum().backward()
    w.grad = None
    parts([w[0], w[1]])
"""
SHORT_EPOCHS = """
import torch
w = torch.zeros(2, requires_grad=True)
def epoch():
    for half in range(1):
        for batch in range(2):
            (w - batch).pow(2).sum().backward()
            w.grad = None
for turn in range(3000):
    epoch()
"""


def test_a_loop_that_trains_nothing_is_let_go_after_some_entries(tmp_path):
    counts = counted(tmp_path, HELPER)
    assert counts["heads of step"] >= 3000
    assert counts["heads of part"] <= 31 * 3, counts
    assert counts["saves"]


def test_a_training_loop_that_is_entered_very_often_reads_the_state_no_more_often_than_its_share_allows(tmp_path):
    counts = counted(tmp_path, SHORT_EPOCHS)
    assert counts["heads of batch"] >= 6000
    # a fresh loop's first head is not worth a state of 5 ms by what is known of it; there are 3000 of these
    assert counts["captures"] <= 40, counts
