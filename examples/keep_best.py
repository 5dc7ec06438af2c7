"""Overfits on purpose: the best epoch comes early, and survivor keeps it.

    survivor run --keep-best min:val_loss examples/keep_best.py
    survivor inspect keep_best
    survivor export keep_best best.safetensors --best
    python examples/keep_best.py --evaluate best.safetensors

Under plain ``python`` it trains as well; ``survivor.report`` does nothing then.
"""

import sys

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import survivor


def data():
    """Few images to learn from, and many to be judged by."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    return x[:150], y[:150], x[150:], y[150:]


def network():
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))


def train():
    torch.manual_seed(0)
    x, y, x_val, y_val = data()
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for epoch in range(60):
        for batch in torch.randperm(len(x)).split(30):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = F.cross_entropy(model(x_val), y_val).item()
        print(f"epoch {epoch}: validation loss {val_loss:.6f}")
        survivor.report(val_loss=val_loss)


def evaluate(path):
    from safetensors.torch import load_file

    model = network()
    model.load_state_dict(load_file(path))
    _, _, x_val, y_val = data()
    with torch.no_grad():
        print(f"validation loss {F.cross_entropy(model(x_val), y_val).item():.6f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--evaluate"]:
        evaluate(sys.argv[2])
    else:
        train()
