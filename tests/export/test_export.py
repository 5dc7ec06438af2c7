"""What survivor exports is what the script itself would have saved, bit for bit, and needs no survivor to be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def survivor(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "survivor", *map(str, words)],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_same(one, other, where=""):
    """Equal to the last bit, with the same types; dicts may list their keys in another order."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and one.shape == other.shape, where
        assert (
            one.numpy(force=True).tobytes() == other.numpy(force=True).tobytes()
            if one.dtype != torch.bfloat16
            else torch.equal(one, other)
        ), where
    elif isinstance(one, dict):
        assert isinstance(other, dict) and set(one) == set(other), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert type(one) is type(other) and len(one) == len(other), where
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}/{i}")
    else:
        assert type(one) is type(other) and one == other, where


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A finished job of many optimizers and schedulers, and what its script saved by itself."""
    folder = tmp_path_factory.mktemp("everything")
    survivor(folder, "run", HERE / "everything.py", "own.pt")
    return folder


def test_all_state_dicts_are_those_of_torch(everything):
    survivor(everything, "export", "everything", "all.pt")
    own = torch.load(everything / "own.pt", weights_only=True)
    exported = torch.load(everything / "all.pt", weights_only=True)
    about = exported.pop("survivor")
    assert about["position"] == "the end of the epoch loop" and about["job"] == "everything"
    assert_same(own, exported)
    assert list(own["trainer.model"]) == list(exported["trainer.model"])


def test_the_export_loads_strictly_into_what_the_plain_script_builds(everything):
    """And the next step of training is the same: nothing of the optimizer is missing."""
    survivor(everything, "export", "everything", "again.pt")
    sys.path.insert(0, str(HERE))
    try:
        from everything import Trainer
    finally:
        sys.path.remove(str(HERE))
    ends = []
    for name in ("own.pt", "again.pt"):
        states = torch.load(everything / name, weights_only=True)
        trainer = Trainer()
        trainer.model.load_state_dict(states["trainer.model"], strict=True)
        trainer.ema.load_state_dict(states["trainer.ema"], strict=True)
        trainer.optimizer.load_state_dict(states["trainer.optimizer"])
        trainer.scheduler.load_state_dict(states["trainer.scheduler"])
        assert trainer.model.out.weight is trainer.model.embed.weight
        trainer.model(torch.ones(8, 4)).square().sum().backward()
        trainer.optimizer.step()
        trainer.scheduler.step()
        ends.append((trainer.model.state_dict(), trainer.optimizer.state_dict(), trainer.scheduler.get_last_lr()))
    assert_same(*ends)


def test_one_object_is_written_as_its_own_state_dict(everything):
    survivor(everything, "export", "everything", "one.safetensors", "--object", "trainer.model")
    survivor(everything, "export", "everything", "one.pt", "--object", "trainer.model")
    own = torch.load(everything / "own.pt", weights_only=True)["trainer.model"]
    assert_same(dict(own), load_file(everything / "one.safetensors"))
    assert_same(dict(own), torch.load(everything / "one.pt", weights_only=True))


def test_what_is_not_clear_is_asked(everything):
    text = survivor(everything, "export", "everything", "x.safetensors", code=2)
    assert "several models: trainer.model, trainer.ema" in text and "--object" in text
    assert "has no 'modle'" in survivor(everything, "export", "everything", "x.pt", "--object", "modle", code=2)
    assert "tensors only" in survivor(everything, "export", "everything", "x.safetensors", "--object", "loose", code=2)
    assert "by which metric" in survivor(everything, "export", "everything", "x.pt", "--best", code=2)
    assert "ends in none of" in survivor(everything, "export", "everything", "x.bin", code=2)
    assert "no checkpoint '7777'" in survivor(
        everything, "export", "everything", "x.pt", "--checkpoint", "7777", code=2
    )
    assert "before anything was trained" in survivor(
        everything, "export", "everything", "x.pt", "--checkpoint", "0", code=2
    )
    assert not [path.name for path in everything.iterdir() if path.name.startswith("x")]


def test_a_file_that_is_there_is_not_replaced(everything):
    (everything / "mine.pt").write_bytes(b"mine")
    assert "--force" in survivor(everything, "export", "everything", "mine.pt", code=2)
    assert (everything / "mine.pt").read_bytes() == b"mine"
    survivor(everything, "export", "everything", "mine.pt", "--force")
    assert "loose" in torch.load(everything / "mine.pt", weights_only=True)


@pytest.mark.parametrize("kill_at", [6])
def test_the_best_is_kept_through_a_kill_and_is_what_the_script_had_then(tmp_path, kill_at):
    options = ["--keep", "1", "--keep-hourly", "0", "--keep-best", "min:val_loss"]
    text = survivor(tmp_path, "run", *options, HERE / "best_of.py", tmp_path, kill_at)
    assert "starting again" in text
    # which one is the best need not be said again
    survivor(tmp_path, "prune", "--keep", "1", "--keep-hourly", "0", "best_of")
    listing = json.loads(survivor(tmp_path, "inspect", "--json", "best_of"))
    assert [info["metrics"].get("val_loss") for info in listing["checkpoints"]] == [0.5, 4.5]
    assert "val_loss=0.5" in survivor(tmp_path, "inspect", "best_of")
    survivor(tmp_path, "export", "best_of", "best.pt", "--best")
    survivor(tmp_path, "export", "best_of", "best.safetensors", "--best", "--metric", "min:val_loss")
    survivor(tmp_path, "export", "best_of", "last.pt")
    for exported, epoch in (("best.pt", 4), ("last.pt", 8)):
        states = torch.load(tmp_path / exported, weights_only=True)
        del states["survivor"]
        assert_same(torch.load(tmp_path / f"{epoch}.pt", weights_only=True), states)
    assert_same(
        dict(torch.load(tmp_path / "4.pt", weights_only=True)["model"]), load_file(tmp_path / "best.safetensors")
    )


def test_a_job_killed_behind_its_last_loop_goes_on_there(tmp_path):
    """The end of the loop is a checkpoint like others: what comes after it runs again, and nothing is trained."""
    survivor(tmp_path, "run", HERE / "best_of.py", tmp_path, -1)
    records = sorted((tmp_path / "survivor-jobs/best_of/job").iterdir())
    records[-1].unlink()  # the word that it was finished
    before, log = (tmp_path / "8.pt").read_bytes(), (tmp_path / "log.txt").read_text()
    text = survivor(tmp_path, "run", HERE / "best_of.py", tmp_path, -1)
    assert "continuing at the end of the epoch loop (step 54" in text and "trained" in text
    assert (tmp_path / "8.pt").read_bytes() == before
    # what was written behind the loop is written again, and once
    assert (tmp_path / "log.txt").read_text() == log and log.endswith("trained\n") and log.count("\n") == 10
    assert survivor(tmp_path, "log", "best_of").splitlines() == ["trained"]
    survivor(tmp_path, "export", "best_of", "last.pt")
    states = torch.load(tmp_path / "last.pt", weights_only=True)
    del states["survivor"]
    assert_same(torch.load(tmp_path / "8.pt", weights_only=True), states)


def test_the_example_keeps_its_best_epoch(tmp_path):
    pytest.importorskip("sklearn")
    example = HERE.parents[1] / "examples/keep_best.py"
    text = survivor(tmp_path, "run", "--keep-best", "min:val_loss", example)
    losses = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("epoch ")]
    survivor(tmp_path, "export", "keep_best", "best.safetensors", "--best")
    judged = subprocess.run(
        [sys.executable, example, "--evaluate", tmp_path / "best.safetensors"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert judged.stdout.strip() == min(losses) and losses[-1] != min(losses)
