"""A job in a bucket, from the command line: run, killed, gone on with, looked at, thinned out, exported."""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "export/best_of.py"


@pytest.fixture
def bucket(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    import s3fs

    name = f"bucket-{secrets.token_hex(4)}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}/jobs"


def survivor(folder, *words, code=0):
    command = [sys.executable, "-m", "survivor", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def states(path):
    return torch.load(path, weights_only=True)


def test_a_job_lives_in_a_bucket_from_the_command_line(bucket, tmp_path):
    plain, run = tmp_path / "plain", tmp_path / "run"
    plain.mkdir(), run.mkdir()
    subprocess.run([sys.executable, SCRIPT, plain, "-1"], check=True, capture_output=True)
    at = ["--store", bucket]
    told = survivor(run, "run", *at, "--keep", 2, "--keep-best", "min:val_loss", SCRIPT, run, 6)
    assert f"new job in {bucket}/best_of" in told and "starting again from epoch" in told and "finished" in told
    assert "is finished" in survivor(run, "run", *at, "--keep-best", "min:val_loss", SCRIPT, run, 6)
    assert "val_loss=0.5" in survivor(run, "inspect", *at, "best_of")
    assert "checkpoints are good" in survivor(run, "check", *at, "best_of")
    survivor(run, "prune", *at, "--keep", 1, "--keep-hourly", 0, "--keep-best", "min:val_loss", "best_of")
    assert "2 of 2 checkpoints are good" in survivor(run, "check", *at, "best_of")
    for name, epoch, words in (("best.pt", 4, ["--best"]), ("last.pt", 8, [])):
        survivor(run, "export", *at, "best_of", name, *words)
        exported, own = states(run / name), states(plain / f"{epoch}.pt")
        assert all(torch.equal(exported["model"][key], own["model"][key]) for key in own["model"])
        assert str(exported["optimizer"]) == str(own["optimizer"])
    assert not (run / "survivor-jobs").exists()


def test_another_session_is_refused_in_a_bucket(bucket, tmp_path):
    from survivor.checkpoint.lease import Lease
    from survivor.store import open_store

    lease = Lease.acquire(open_store(bucket), "best_of", session=1)
    told = survivor(tmp_path, "run", "--store", bucket, SCRIPT, tmp_path, -1, code=3)
    assert "is being run by session 1" in told and "--take-over" in told
    lease.release()
    assert "no job 'best'" in survivor(tmp_path, "inspect", "--store", bucket, "best", code=2)


TRAIN = """\
import os
import time
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters())
for i in range(int(os.environ.get("STEPS", "12"))):
    loss = model(torch.randn(8, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(i, loss.item().hex(), flush=True)
    time.sleep(float(os.environ.get("PACE", "0")))
    if i == 7 and os.environ.get("STRIKE"):
        os.kill(os.getpid(), 9)
"""


def test_a_job_in_a_bucket_is_looked_at_and_gone_on_with_by_its_url_alone(bucket, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    (first / "train.py").write_text(TRAIN)
    plain = subprocess.run([sys.executable, "train.py"], cwd=first, check=True, capture_output=True, text=True).stdout
    monkeypatch.setenv("STRIKE", "1")
    survivor(first, "run", "--store", bucket, "--every", 0, "--max-restarts", 0, "train.py", code=7)
    monkeypatch.delenv("STRIKE")
    shutil.rmtree(first)
    told = survivor(second, "status", bucket)
    assert "newest checkpoint: i 7" in told and f"survivor resume {bucket}/train" in told
    assert survivor(second, "log", "--store", bucket, "train") == "".join(plain.splitlines(keepends=True)[:7])
    assert "continuing at i 7" in survivor(second, "resume", "--yes", f"{bucket}/train")
    assert survivor(second, "log", "--store", bucket, "train") == plain
    assert "finished" in survivor(second, "status", bucket)


@pytest.mark.slow
def test_checkpoints_in_a_bucket_are_checked_while_the_job_trains(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPS", "600")
    monkeypatch.setenv("PACE", "0.05")
    (tmp_path / "train.py").write_text(TRAIN)
    words = ["--every", 1, "--overhead", "100%", "--check-resume", 1, "train.py"]
    told = survivor(tmp_path, "run", "--store", bucket, *words)
    assert "restored in a second process, and equal for a step" in told and "NOT equal" not in told
