"""Contrastive training with a momentum encoder, a queue in buffers, and a memory bank outside the model."""
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class TwoViews(Dataset):
    def __init__(self, n):
        self.base = torch.randn(n, 8)

    def __len__(self):
        return len(self.base)

    def __getitem__(self, i):
        x = self.base[i]
        return x + 0.2 * torch.randn(8), x + 0.2 * torch.randn(8), i


class MoCo(nn.Module):
    def __init__(self, K=24, m=0.9, T=0.2):
        super().__init__()
        self.K, self.m, self.T = K, m, T
        self.encoder_q = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 5))
        self.encoder_k = copy.deepcopy(self.encoder_q)
        for p in self.encoder_k.parameters():
            p.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(5, K), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def _enqueue(self, keys):
        ptr = int(self.queue_ptr)
        n = keys.shape[0]
        self.queue[:, ptr : ptr + n] = keys.T
        self.queue_ptr[0] = (ptr + n) % self.K

    def forward(self, im_q, im_k):
        q = F.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            for pq, pk in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
                pk.data = pk.data * self.m + pq.data * (1.0 - self.m)
            idx = torch.randperm(len(im_k))
            k = F.normalize(self.encoder_k(im_k[idx]), dim=1)[torch.argsort(idx)]
        l_pos = (q * k).sum(1, keepdim=True)
        l_neg = q @ self.queue.clone().detach()
        logits = torch.cat([l_pos, l_neg], 1) / self.T
        self._enqueue(k)
        return logits, torch.zeros(len(logits), dtype=torch.long), q


class AverageMeter(object):
    def __init__(self, name, fmt=":f"):
        self.name, self.fmt = name, fmt
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count


def adjust_learning_rate(optimizer, epoch):
    lr = 0.1 * 0.5 * (1.0 + math.cos(math.pi * epoch / 4))
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr


def train(loader, model, criterion, optimizer, epoch):
    losses, top1 = AverageMeter("Loss"), AverageMeter("Acc@1")
    for i, (a, b, index) in enumerate(loader):
        output, target, q = model(a, b)
        loss = criterion(output, target) + 0.05 * (q - bank[index]).pow(2).mean()
        losses.update(loss.item(), len(a))
        top1.update((output.argmax(1) == target).float().mean().item(), len(a))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bank[index] = 0.5 * bank[index] + 0.5 * q.detach()
        visits[index] += 1
    print(f"Epoch {epoch} Loss {losses.avg!r} Acc {top1.avg!r} ptr {int(model.queue_ptr)}")


torch.manual_seed(23)
loader = DataLoader(TwoViews(44), batch_size=6, shuffle=True, drop_last=True)
model = MoCo()
bank = torch.zeros(44, 5)
visits = torch.zeros(44, dtype=torch.int)
optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
for epoch in range(3):
    adjust_learning_rate(optimizer, epoch)
    train(loader, model, nn.CrossEntropyLoss(), optimizer, epoch)
print(bank.sum().item(), visits.tolist(), model.queue.sum().item())
