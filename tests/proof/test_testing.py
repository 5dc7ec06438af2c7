"""The pytest plugin: a function of a test is killed and continued, and the failure's message is the report."""

import os
import subprocess
import sys

import pytest

from survivor import testing
from survivor.errors import UsageError

TESTS = '''
import torch
from torch import nn


def train(leave_out=False):
    torch.manual_seed(0)
    x, y = torch.randn(24, 3), torch.randn(24, 1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    average = torch.zeros(24, 1)
    if leave_out:
        import survivor

        survivor.ignore(average)
    losses = []
    for step in range(10):
        loss = nn.functional.mse_loss(model(x + torch.rand(1)) + average, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.lerp_(y, 0.3)
        losses.append(loss.item())
    return losses


def train_without_the_average():
    return train(leave_out=True)


def test_exact(resumes_exactly):
    resumes_exactly(train, kill_at=5, signals=["{signal}"])


def test_not_exact(resumes_exactly):
    resumes_exactly(train_without_the_average, kill_at=5, signals=["{signal}"])
'''


def test_the_fixture_passes_what_resumes_exactly_and_reports_what_does_not(tmp_path):
    (tmp_path / "test_training.py").write_text(TESTS.format(signal="term"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "survivor.testing", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=500,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "train_without_the_average: does NOT resume exactly" in done.stdout
    assert "average" in done.stdout
    assert "survivor.ignore() leaves this object to re-execution" in done.stdout


def nothing():
    pass


@pytest.mark.parametrize(
    ("train", "options", "words"),
    [
        (nothing, {"signals": ["stop"]}, "'stop' is none of term, kill"),
        (nothing, {"args": ["3"]}, "functools.partial"),
        ("no.py", {}, "no script"),
    ],
)
def test_a_wrong_argument_is_told_at_once(train, options, words):
    with pytest.raises(UsageError) as caught:
        testing.verify(train, **options)
    assert words in f"{caught.value} {caught.value.advice}"
