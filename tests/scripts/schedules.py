"""ReduceLROnPlateau, SequentialLR with warm-up, a lambda per group, and a rate changed by hand."""
import torch
from torch import nn, optim
from torch.optim import lr_scheduler as ls

torch.manual_seed(6)
X = torch.randn(36, 4)
Y = X @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]) + 0.5 * torch.randn(36, 1)


def epoch_of(model, opt, per_step=None):
    order = torch.randperm(36)
    total = 0.0
    for chunk in order.split(9):
        loss = nn.functional.smooth_l1_loss(model(X[chunk]), Y[chunk])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if per_step is not None:
            per_step.step()
        total += loss.item()
    return total


model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 1))

opt = optim.Adam(model.parameters(), lr=0.3)
plateau = ls.ReduceLROnPlateau(opt, factor=0.3, patience=0, threshold=0.3)
for e in range(4):
    loss = epoch_of(model, opt)
    plateau.step(loss)
    print("plateau", e, repr(loss), opt.param_groups[0]["lr"], plateau.num_bad_epochs, repr(plateau.best))

opt = optim.SGD([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.02}], lr=0.01, momentum=0.9)
sequence = ls.SequentialLR(
    opt,
    [ls.LinearLR(opt, start_factor=0.1, total_iters=5), ls.CosineAnnealingWarmRestarts(opt, T_0=3, T_mult=2)],
    milestones=[5],
)
for e in range(3):
    loss = epoch_of(model, opt, sequence)
    print("sequence", e, repr(loss), sequence.get_last_lr())

opt = optim.RAdam([{"params": [model[0].weight]}, {"params": [model[0].bias, *model[2].parameters()]}], lr=0.01)
factors = {"first": 1.0}
lambdas = ls.LambdaLR(opt, [lambda e: 0.9**e * factors["first"], lambda e: 1 / (1 + e)])
for e in range(3):
    if e == 1:
        factors["first"] = 0.5
        opt.param_groups[1]["weight_decay"] = 0.1
    loss = epoch_of(model, opt)
    lambdas.step()
    print("lambda", e, repr(loss), lambdas.get_last_lr())
