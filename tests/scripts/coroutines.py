"""A training loop in a coroutine, with awaits between and inside its iterations."""

import asyncio

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


class Resource:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return 0.5

    async def __aexit__(self, *error):
        await asyncio.sleep(0)


async def fetch(size):
    await asyncio.sleep(0)
    return torch.randn(size, 4)


async def numbers(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


async def train_epoch(epoch, seen):
    total = 0.0
    for i in range(4):
        x = await fetch(6 + i)
        async with Resource() as scale:
            loss = (model(x) * scale).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seen.append(loss.item())
        total += loss.item()
    return total


async def main():
    seen, history = [], []
    for epoch in range(4):
        history.append(await train_epoch(epoch, seen))
        extra = [i async for i in numbers(3)]
        async for i in numbers(2):
            history.append(i + len(extra))
        print(epoch, history[-3], len(seen))
    return history


print(asyncio.run(main()), torch.rand(1).item())
