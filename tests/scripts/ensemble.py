"""Several models in one loop: dicts of models and optimizers, loops over layers inside the batch, mutual learning."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(29)
x = torch.randn(36, 4)
y = (x.pow(2).sum(1) > 4).long()
loader = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=True)


class Deep(nn.Module):
    def __init__(self, widths):
        super().__init__()
        sizes = [4, *widths]
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.1)) for a, b in zip(sizes, sizes[1:]))
        self.exits = nn.ModuleList(nn.Linear(b, 2) for b in widths)


models = {"small": Deep([6]), "wide": Deep([12]), "deep": Deep([6, 6, 6])}
optimizers = {
    "small": torch.optim.SGD(models["small"].parameters(), lr=0.1),
    "wide": torch.optim.Adam(models["wide"].parameters(), lr=0.01),
    "deep": torch.optim.AdamW(models["deep"].parameters(), lr=0.01),
}
schedulers = {k: torch.optim.lr_scheduler.ExponentialLR(o, 0.9) for k, o in optimizers.items()}
best = dict.fromkeys(models, float("inf"))
table = []
for epoch in range(2):
    sums = {k: 0.0 for k in models}
    for inputs, labels in loader:
        outputs = {}
        for name, model in models.items():
            optimizer = optimizers[name]
            optimizer.zero_grad()
            h, loss = inputs, 0
            for block, leave in zip(model.blocks, model.exits):
                h = block(h)
                out = leave(h)
                loss = loss + nn.functional.cross_entropy(out, labels)
            for other in outputs.values():
                loss = loss + 0.1 * nn.functional.mse_loss(out, other)
            loss.backward()
            optimizer.step()
            outputs[name] = out.detach()
            sums[name] += loss.item()
    for name in models:
        schedulers[name].step()
        if sums[name] < best[name]:
            best[name] = sums[name]
        table.append((epoch, name, sums[name], schedulers[name].get_last_lr()[0]))
        print(table[-1])

# greedy, layer by layer: every layer has its own optimizer and its own target
layers = nn.ModuleList([nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 4)])
opts = [torch.optim.SGD(l.parameters(), lr=0.05) for l in layers]
for depth, (layer, opt) in enumerate(zip(layers, opts)):
    back = nn.Linear(layer.out_features, 4)
    opt.add_param_group({"params": back.parameters()})
    for round_ in range(4):
        with torch.no_grad():
            h = x
            for l in layers[:depth]:
                h = torch.relu(l(h))
        noise = torch.randn_like(h) * 0.1
        loss = (back(torch.relu(layer(h + noise))) - x).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    print("layer", depth, repr(loss.item()))
