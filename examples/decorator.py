"""A training function that survives being killed: start it, end it with any signal, start it again.

    python examples/decorator.py

The function runs in a child process under survivor, and its value comes back as that of any call.
``--plain`` calls it without survivor, for comparison.
"""

import argparse

import torch
from torch import nn

from survivor import survivable


@survivable
def train(epochs, seed):
    """Fit a small network to a noisy curve; returns the losses and the sum of all weights."""
    torch.manual_seed(seed)
    x = torch.linspace(-3, 3, 512).unsqueeze(1)
    y = torch.sin(2 * x) + 0.1 * torch.randn_like(x)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Dropout(0.05), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x[part]), y[part])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        losses.append(total / len(x))
        if (epoch + 1) % 50 == 0:
            print(f"epoch {epoch + 1}: loss {losses[-1]:.6f}", flush=True)
    return losses, sum(p.double().sum().item() for p in model.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="call the function directly")
    args = parser.parse_args()

    call = train.__wrapped__ if args.plain else train
    losses, weights = call(args.epochs, seed=args.seed)
    print(f"{len(losses)} epochs, best loss {min(losses).hex()}, weights {weights.hex()}")


if __name__ == "__main__":
    main()
