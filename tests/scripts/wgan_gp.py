"""WGAN with gradient penalty: several critic steps a generator step, three optimizers, an iterator drained by hand."""
import torch
import torch.nn as nn
from torch.autograd import grad
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(88)
critic_iters, gen_iters, lam = 3, 5, 10.0
data = torch.randn(40, 2) * torch.tensor([0.3, 1.0]) + torch.tensor([1.0, 0.0])
loader = DataLoader(TensorDataset(data), batch_size=8, shuffle=True)
G = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 2))
D = nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(0.1), nn.Linear(12, 1))
E = nn.Linear(2, 3)
opt_g = torch.optim.RMSprop(G.parameters(), lr=1e-3)
opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.0, 0.9))
opt_e = torch.optim.Adagrad(E.parameters(), lr=1e-2)


def inf_train_gen():
    while True:
        for (x,) in loader:
            yield x


def gradient_penalty(real, fake):
    alpha = torch.rand(real.size(0), 1)
    mix = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    (g,) = grad(D(mix).sum(), mix, create_graph=True)
    return ((g.norm(2, dim=1) - 1) ** 2).mean() * lam


one, mone = torch.tensor(1.0), torch.tensor(-1.0)
stream = inf_train_gen()
costs = []
for iteration in range(gen_iters):
    for p in D.parameters():
        p.requires_grad = True
    for j in range(critic_iters + (2 if iteration == 0 else 0)):
        real = next(stream)
        D.zero_grad()
        D(real).mean().backward(mone)
        with torch.no_grad():
            fake = G(torch.randn(real.size(0), 3))
        D(fake).mean().backward(one)
        penalty = gradient_penalty(real, fake)
        penalty.backward()
        opt_d.step()
        costs.append(penalty.item())
    for p in D.parameters():
        p.requires_grad = False
    G.zero_grad()
    z = torch.randn(8, 3)
    fake = G(z)
    g_cost = -D(fake).mean()
    g_cost.backward(retain_graph=True)
    code = (E(fake) - z).pow(2).mean()
    E.zero_grad()
    code.backward()
    opt_g.step()
    opt_e.step()
    print(iteration, j, repr(g_cost.item()), repr(code.item()), repr(penalty.item()))
print(sum(costs), len(costs))
