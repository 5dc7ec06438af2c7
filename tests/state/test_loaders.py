"""Every loader goes on with the same batches and the same random numbers in another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import loader_cases
import pytest
import torch

CASES = list(loader_cases.CASES)
pytestmark = [pytest.mark.xdist_group("loaders"), pytest.mark.timeout(1800)]


def perform(mode: str, folder: Path, names: list[str]) -> None:
    command = [sys.executable, "-W", "ignore", loader_cases.__file__, mode, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The results of all wanted cases, each mode in processes of its own."""
    path = tmp_path_factory.mktemp("loaders")
    wanted = [
        item.callspec.params["name"]
        for item in request.session.items
        if hasattr(item, "callspec") and "name" in item.callspec.params and item.path == Path(__file__)
    ]
    names = [name for name in CASES if name in wanted]
    for mode in ("whole", "watched", "resumed"):
        perform(mode, path, names)
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_loader_equals_the_plain_one(folder: Path, name: str) -> None:
    whole = torch.load(folder / f"{name}.whole", weights_only=False)
    watched, _ = torch.load(folder / f"{name}.watched", weights_only=False)
    assert isinstance(whole, list), whole
    assert watched == whole, "tracking is visible"
    resumed = torch.load(folder / f"{name}.resumed", weights_only=False)
    for point, digests in resumed.items():
        assert isinstance(digests, list), f"{point}: {digests}"
        assert digests == whole[len(whole) - len(digests) :], (
            f"after {point}: wrong from step {first_difference(digests, whole)}"
        )


def first_difference(tail: list[str], whole: list[str]) -> str:
    expected = whole[len(whole) - len(tail) :]
    bad = [number for number, pair in enumerate(zip(tail, expected)) if pair[0] != pair[1]]
    return f"{bad} of {len(tail)}"
