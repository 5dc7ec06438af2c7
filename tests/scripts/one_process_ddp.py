"""DistributedDataParallel with one process, as scripts for several devices are run on one."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

torch.manual_seed(0)
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
data = TensorDataset(torch.randn(40, 4), torch.randn(40, 2))
sampler = DistributedSampler(data, shuffle=True)
loader = DataLoader(data, 8, sampler=sampler)
for epoch in range(4):
    sampler.set_epoch(epoch)
    total = torch.zeros(())
    for x, y in loader:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        dist.all_reduce(loss.detach())
        total += loss.detach()
    print(f"{epoch} {total.item():.9g}")
dist.destroy_process_group()
