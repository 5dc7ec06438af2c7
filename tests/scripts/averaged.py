"""Three kinds of averages at once: torch's AveragedModel (SWA, with SWALR and update_bn), a class, a deepcopy."""
import copy

import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset


class EMA:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {n: p.data.clone() for n, p in model.named_parameters() if p.requires_grad}
        self.backup = {}
        self.updates = 0

    def update(self, model):
        self.updates += 1
        for name, param in model.named_parameters():
            self.shadow[name] = (1.0 - self.decay) * param.data + self.decay * self.shadow[name]

    def apply(self, model):
        for name, param in model.named_parameters():
            self.backup[name] = param.data
            param.data = self.shadow[name]

    def restore(self, model):
        for name, param in model.named_parameters():
            param.data = self.backup[name]
        self.backup = {}


torch.manual_seed(14)
x = torch.randn(48, 5)
y = x[:, :2].prod(1, keepdim=True)
loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 1))
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=4)
swa_model = AveragedModel(model)
swa_scheduler = SWALR(opt, swa_lr=0.02, anneal_epochs=1)
ema_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
ema = EMA(model, 0.8)
teacher = copy.deepcopy(model)
for p in teacher.parameters():
    p.requires_grad_(False)

for epoch in range(5):
    for xb, yb in loader:
        out = model(xb)
        loss = nn.functional.mse_loss(out, yb) + 0.1 * nn.functional.mse_loss(out, teacher(xb))
        opt.zero_grad()
        loss.backward()
        opt.step()
        ema.update(model)
        ema_model.update_parameters(model)
    if epoch >= 2:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        cosine.step()
    if epoch % 2 == 1:
        teacher = copy.deepcopy(model).requires_grad_(False)
    ema.apply(model)
    model.eval()
    with torch.no_grad():
        score = nn.functional.mse_loss(model(x), y).item()
    model.train()
    ema.restore(model)
    print(epoch, repr(loss.item()), "ema", repr(score), ema.updates, int(swa_model.n_averaged), opt.param_groups[0]["lr"])

update_bn(loader, swa_model)
with torch.no_grad():
    print("swa", repr(nn.functional.mse_loss(swa_model(x), y).item()), "ema", repr(nn.functional.mse_loss(ema_model(x), y).item()))
torch.save({"swa": swa_model.state_dict(), "ema": ema.shadow}, "averages.pt")
