"""``survivor verify`` and ``survivor run --check-resume`` as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "gallery"


def survivor(*words, cwd):
    environment = {k: v for k, v in os.environ.items() if k != "SURVIVOR_STORE"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "survivor", *words], cwd=cwd, env=environment, text=True, capture_output=True, timeout=500
    )


def test_a_proof_is_written_and_names_what_was_run(tmp_path):
    script = tmp_path / "train.py"
    script.write_text((GALLERY / "mended" / "nothing_seeded.py").read_text())
    done = survivor("verify", "--steps", "8", "--kills", "1", "--kill", "term", "train.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train.py: resumes exactly" in done.stdout
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["outcome"] == "exact"
    assert proof["command"] == ["train.py"]
    assert proof["steps"] == 8
    assert [row["signal"] for row in proof["kills"]] == ["SIGTERM"]
    assert len(proof["script_sha256"]) == 64
    assert proof["fingerprint"]["torch"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["proof.json", "train.py"]


def test_a_script_that_differs_by_itself_is_not_blamed_on_the_resume(tmp_path):
    script = tmp_path / "train.py"
    script.write_text((GALLERY / "faulty" / "process_number.py").read_text())
    done = survivor("verify", "train.py", cwd=tmp_path)
    assert done.returncode == 11, done.stdout + done.stderr
    assert "not deterministic by itself" in done.stdout
    assert "train.py:13: noise = scale * torch.randn(24, 3)" in done.stdout or "process number" in done.stdout
    assert not (tmp_path / "proof.json").exists()


def test_a_script_that_fails_by_itself_is_shown_with_its_error(tmp_path):
    (tmp_path / "train.py").write_text("import torch\nraise RuntimeError('no data')\n")
    done = survivor("verify", "train.py", cwd=tmp_path)
    assert done.returncode == 12
    assert "no data" in done.stdout


def test_a_script_that_trains_nothing_proves_nothing(tmp_path):
    (tmp_path / "train.py").write_text("import torch\nprint('nothing')\n")
    done = survivor("verify", "train.py", cwd=tmp_path)
    assert done.returncode == 12
    assert "trains nothing" in done.stdout


@pytest.mark.parametrize("words", [["--kill", "stop"], ["--kills", "0"], ["--jobs", "0"], ["--proof", "no/p.json"], []])
def test_a_wrong_command_line_is_refused_at_once(words, tmp_path):
    (tmp_path / "train.py").write_text("")
    done = survivor("verify", *words, *(["train.py"] if words else []), cwd=tmp_path)
    assert done.returncode == 2


def test_a_script_that_is_not_there_is_named(tmp_path):
    done = survivor("verify", "no.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "no.py" in done.stderr


LOOP = """
import torch
from torch import nn
{first}
torch.manual_seed(0)
x = torch.randn(24, 3)
model = nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
average = torch.zeros(24, 1)
{second}
import os
for step in range(1000):
    out = model(x + torch.rand(1))
    loss = (out + average).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average.lerp_(out.detach(), 0.1)
    if os.path.exists("stop") or step == 999:
        break
    import time
    time.sleep(0.02)
"""


BESIDE = LOOP.format(first="from pathlib import Path", second="log = open(Path(__file__).parent / 'log.txt', 'a')").replace(
    "    import time", "    print(step, file=log, flush=True)\n    import time"
)


@pytest.mark.slow
def test_a_check_leaves_alone_what_the_job_writes_beside_its_script(tmp_path):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir(), here.mkdir()
    script = elsewhere / "train.py"
    script.write_text(BESIDE)
    done = survivor("run", "--every", "1", "--overhead", "100%", "--check-resume", "1", str(script), cwd=here)
    assert done.returncode == 0, done.stderr
    assert "restored in a second process, and equal for a step" in done.stderr, done.stderr
    assert (elsewhere / "log.txt").read_text().split() == [str(i) for i in range(999)]


@pytest.mark.slow
@pytest.mark.parametrize("faulty", [False, True])
def test_checkpoints_are_checked_while_the_job_trains(faulty, tmp_path):
    lines = {"first": "import survivor", "second": "survivor.ignore(average)"} if faulty else {"first": "", "second": ""}
    (tmp_path / "train.py").write_text(LOOP.format(**lines))
    done = survivor("run", "--every", "1", "--overhead", "100%", "--check-resume", "1", "train.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if faulty:
        assert "restored in a second process, and NOT equal" in done.stderr, done.stderr
        assert "average" in done.stderr
    else:
        assert "restored in a second process, and equal for a step" in done.stderr, done.stderr
        assert "NOT equal" not in done.stderr, done.stderr


UNSEEDED = """
import torch
from torch import nn
print(torch.get_num_threads(), "threads")
x = torch.randn(24, 3)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(9):
    loss = model(x + torch.rand(1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
"""


def test_places_signal_seed_threads_and_runs_side_by_side_can_be_chosen(tmp_path):
    (tmp_path / "train.py").write_text(UNSEEDED)
    words = "--jobs 2 --threads 1 --seed 3 --at 2 --at 4 --at 6 --kill usr1 --keep kept --proof said.json train.py"
    done = survivor("verify", *words.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    proof = json.loads((tmp_path / "said.json").read_text())
    assert sorted((row["step"], row["signal"]) for row in proof["kills"]) == [(step, "SIGUSR1") for step in (2, 4, 6)]
    assert (proof["seed"], proof["threads"]) == (3, 1)
    outputs = [path.read_text() for path in (tmp_path / "kept").glob("*-plain*/out0")]
    assert len(outputs) == 2 and outputs[0] == outputs[1] and outputs[0].startswith("1 threads\n")
    assert len(list((tmp_path / "kept").glob("*-run*"))) == 2
    again = survivor("verify", "--keep", "kept", "train.py", cwd=tmp_path)
    assert again.returncode == 2 and "kept, is not empty" in again.stderr
