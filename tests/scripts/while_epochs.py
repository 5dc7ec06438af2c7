"""While loops all the way, index arithmetic over randperm, continue, a flag that ends both loops, while-else."""
import torch
import torch.nn.functional as F

torch.manual_seed(21)
N, B = 50, 7
X = torch.randn(N, 6)
Y = (X[:, 0] * X[:, 1] > 0).float()
W1 = torch.nn.Parameter(torch.randn(6, 12) * 0.3)
b1 = torch.nn.Parameter(torch.zeros(12))
W2 = torch.nn.Parameter(torch.randn(12) * 0.3)
params = [W1, b1, W2]
opt = torch.optim.Adagrad(params, lr=0.1)

epoch = 0
done = False
skipped = 0
losses = []
while epoch < 5 and not done:
    permutation = torch.randperm(N)
    epoch_loss = 0.0
    i = 0
    while i < N:
        indices = permutation[i : i + B]
        i += B
        if len(indices) < B:
            skipped += 1
            continue
        batch_x, batch_y = X[indices], Y[indices]
        hidden = F.dropout(torch.relu(batch_x @ W1 + b1), 0.2)
        loss = F.binary_cross_entropy_with_logits(hidden @ W2, batch_y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        epoch_loss += loss.item()
        losses.append(loss.item())
        if len(losses) >= 26:
            done = True
            break
    else:
        print("epoch ran through", epoch)
    print("epoch", epoch, repr(epoch_loss), "skipped", skipped)
    epoch += 1
else:
    print("not reached by break; done:", done)
print(len(losses), sum(losses))
