"""torch.compile: a compiled model and a compiled loss, in train and eval mode."""
import torch
from torch import nn

torch.manual_seed(25)
model = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))
net = torch.compile(model)


@torch.compile
def criterion(a, b):
    return (a - b).pow(2).mean() + 0.01 * a.abs().mean()


opt = torch.optim.AdamW(net.parameters(), lr=0.01)
for epoch in range(3):
    net.train()
    for i in range(5):
        x = torch.randn(8, 6)
        loss = criterion(net(x), x[:, :1] * x[:, 1:2])
        opt.zero_grad()
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        print(epoch, repr(loss.item()), repr(net(torch.ones(8, 6)).sum().item()))
torch.save(net.state_dict(), "compiled.pt")
