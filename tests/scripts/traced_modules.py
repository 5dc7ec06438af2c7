"""Modules that torch has made of the user's: scripted, traced by fx, prepared for quantization, compiled."""

import copy
import warnings

import torch
from torch import fx, nn

warnings.filterwarnings("ignore")
from torch.ao import quantization  # noqa: E402

torch.manual_seed(2)
torch.backends.quantized.engine = "fbgemm"


class Net(nn.Module):
    steps: int

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)
        self.steps = 0

    def forward(self, x):
        self.steps += 1
        return self.b(torch.relu(self.norm(self.a(x)))) + 0.001 * self.steps


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.stub, self.a, self.relu, self.b = quantization.QuantStub(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)
        self.unstub = quantization.DeQuantStub()

    def forward(self, x):
        return self.unstub(self.b(self.relu(self.a(self.stub(x)))))


x = torch.randn(24, 4)
y = x.sum(1, keepdim=True)


def train(model, epochs=2):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(epochs):
        model.train()
        for i in range(0, 24, 6):
            loss = nn.functional.mse_loss(model(x[i : i + 6]), y[i : i + 6])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == 0 and hasattr(model, "stub"):
            model.apply(quantization.disable_observer)
        model.eval()
        with torch.no_grad():
            print(f"{type(model).__name__} {epoch}: {nn.functional.mse_loss(model(x), y).item():.8f}")
    return model


scripted = train(torch.jit.script(Net()))
print(scripted.steps)
train(torch.compile(Net(), backend="eager"))
train(fx.symbolic_trace(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1))))
aware = Plain()
aware.qconfig = quantization.get_default_qat_qconfig("fbgemm")
aware = train(quantization.prepare_qat(aware.train()))
a = quantization.convert(copy.deepcopy(aware).eval())
print(a(x).sum().item())
