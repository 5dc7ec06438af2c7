"""A function that returns from inside its loops, called for several learning rates; the best one is trained again."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(2)
X = torch.linspace(-1, 1, 40).unsqueeze(1)
Y = torch.sin(3 * X) + 0.05 * torch.randn(40, 1)


def make_model():
    return nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))


def fit(lr, limit, epochs=3):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True)
    steps = 0
    for epoch in range(epochs):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x), y)
            if torch.isnan(loss) or loss.item() > 1e4:
                return float("inf"), steps, None
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if loss.item() < limit:
                return loss.item(), steps, model
        with torch.no_grad():
            full = nn.functional.mse_loss(model(X), Y).item()
        print(f"  lr {lr} epoch {epoch} {full!r}")
    return full, steps, model


results = {}
for lr in [0.01, 0.1, 0.3]:
    score, steps, model = fit(lr, limit=0.12)
    results[lr] = (score, steps)
    print("lr", lr, "score", repr(score), "steps", steps)

best_lr = min(results, key=lambda k: results[k][0])
print("best", best_lr)
score, steps, model = fit(best_lr, limit=0.0, epochs=2)
print("again", repr(score), steps, float(model[0].weight.sum()))
