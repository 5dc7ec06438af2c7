"""Pretrain an autoencoder, then finetune a classifier on it; SGD is replaced by Adam on the way; a decoder is dropped."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(77)
data = torch.randn(48, 8) @ torch.randn(8, 8)
labels = (data[:, 0] > 0).long()
unlabelled = DataLoader(TensorDataset(data), batch_size=8, shuffle=True)
labelled = DataLoader(TensorDataset(data[:24], labels[:24]), batch_size=6, shuffle=True)

encoder = nn.Sequential(nn.Linear(8, 5), nn.ReLU())
decoder = nn.Linear(5, 8)

print("== pretraining")
optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.01, momentum=0.9)
curve = []
for epoch in range(2):
    for (x,) in unlabelled:
        noisy = x + 0.1 * torch.randn_like(x)
        loss = nn.functional.mse_loss(decoder(encoder(noisy)), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    if epoch == 0:
        # the plateau comes early: go on with Adam
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.005)
    print("pretrain", epoch, repr(curve[-1]), type(optimizer).__name__)
torch.save(encoder.state_dict(), "encoder.pt")
del decoder

print("== finetuning")
head = nn.Linear(5, 2)
for p in encoder.parameters():
    p.requires_grad = False
classifier = nn.Sequential(encoder, head)
optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
unfrozen = False
for epoch in range(4):
    if epoch == 2:
        for p in encoder.parameters():
            p.requires_grad = True
        optimizer.add_param_group({"params": encoder.parameters(), "lr": 0.002})
        unfrozen = True
    total = 0.0
    for x, y in labelled:
        loss = nn.functional.cross_entropy(classifier(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print("finetune", epoch, repr(total), "unfrozen", unfrozen, [g["lr"] for g in optimizer.param_groups])
print("== done", len(curve), repr(sum(curve)))
