"""Gradient accumulation under bf16 autocast with a GradScaler object, clipping, and a warm-up by LambdaLR."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(5)
ACCUMULATE = 3
EPOCHS = 3

inputs = torch.randn(70, 6)
labels = (inputs[:, :3].sum(1) > inputs[:, 3:].sum(1)).long()
loader = DataLoader(TensorDataset(inputs, labels), batch_size=10, shuffle=True)

model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Dropout(0.25), nn.Linear(20, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.05)
warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda it: min(1.0, (it + 1) / 5))
scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3)

updates = 0
for epoch in range(EPOCHS):
    epoch_loss = 0.0
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y) / ACCUMULATE
        scaler.scale(loss).backward()
        epoch_loss += loss.item() * ACCUMULATE
        # the window runs on over the end of the epoch
        if (epoch * len(loader) + i + 1) % ACCUMULATE == 0:
            scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            warmup.step()
            updates += 1
            print("update", updates, "norm", norm.item(), "scale", scaler.get_scale(), "lr", warmup.get_last_lr()[0])
    print("epoch", epoch, repr(epoch_loss / len(loader)))
print("updates", updates, scaler.state_dict())
