"""Tests of a training's own: is it killed, does it come out the same?

    pytest examples/test_resuming.py

``resumes_exactly`` is a fixture that survivor gives to pytest. See docs/verify.md.
"""

from pathlib import Path

import torch
from torch import nn


def train():
    torch.manual_seed(0)
    x, y = torch.randn(64, 8), torch.randn(64, 1)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    losses = []
    for _ in range(4):
        for index in torch.randperm(64).split(16):
            loss = nn.functional.mse_loss(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def test_the_function_resumes_exactly(resumes_exactly):
    resumes_exactly(train, kill_at=[6, 13])


def test_the_digits_resume_exactly(resumes_exactly):
    script = Path(__file__).parent / "digits.py"
    resumes_exactly(script, args=["--epochs", "2"], kill_at=30, jobs=2)
