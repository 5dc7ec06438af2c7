"""Gradient descent by hand: bare tensors, no optimizer, no module; weights replaced by new tensors half-way."""
import torch

torch.manual_seed(100)
x = torch.linspace(-2, 2, 64)
y = torch.sin(x)

a = torch.randn((), requires_grad=True)
b = torch.randn((), requires_grad=True)
c = torch.randn((), requires_grad=True)
learning_rate = 2e-3
velocity = {"a": 0.0}
for t in range(12):
    noise = 0.01 * torch.randn(64)
    y_pred = a + b * x + c * x**2 + noise
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        velocity["a"] = 0.9 * velocity["a"] + a.grad
        a -= learning_rate * velocity["a"]
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        a.grad = None
        b.grad.zero_()
        c.grad = None
    if t % 4 == 3:
        print("by hand", t, repr(loss.item()))

# the same with reassigned leaves, as in meta learning
w = torch.stack([a, b, c]).detach().requires_grad_(True)
for t in range(12):
    basis = torch.stack([torch.ones_like(x), x, x**2])
    loss = ((w @ basis) - y + 0.01 * torch.randn(64)).pow(2).mean()
    (grad,) = torch.autograd.grad(loss, w, create_graph=True)
    total = loss + 0.001 * grad.pow(2).sum()
    total.backward()
    learning_rate *= 0.9
    w = (w - 0.05 * w.grad).detach().requires_grad_(True)
    if t % 4 == 3:
        print("new leaves", t, repr(total.item()), repr(learning_rate))
print(w.tolist(), float(velocity["a"]))
