# gradients by torch.func and torch.autograd.grad, after loops that only get ready
import torch
from torch.func import functional_call, grad
torch.manual_seed(0)
words = []
for i in range(6):
    words.append(str(torch.randn(1).item())[: i + 3])
    event("ready", words)
net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
params = {name: value.detach().clone() for name, value in net.named_parameters()}
def loss_of(params, x, y):
    return ((functional_call(net, params, (x,)) - y) ** 2).mean()
for epoch in range(2):
    for i in range(3):
        x = torch.randn(4, 2)
        found = grad(loss_of)(params, x, x.sum(1, keepdim=True))
        params = {name: value - 0.1 * found[name] for name, value in params.items()}
        event("functional", epoch, i, params)
w = torch.tensor([0.5, -0.25], requires_grad=True)
for i in range(4):
    (g,) = torch.autograd.grad(((w - i) ** 2).sum(), [w], create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), [w])
    with torch.no_grad():
        w -= 0.1 * g * h
    event("second", w)
for i in range(4):
    value, j = torch.func.vjp(lambda q: (q * q).sum(), w.detach())
    w = (w - 0.1 * j(torch.ones(()))[0]).detach()
    event("vjp", w, value)
