"""A coroutine that trains while another task fetches: what that one has done so far can't be read."""

import asyncio

import torch

model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


async def ticks(box):
    while True:
        box.append(len(box))
        await asyncio.sleep(0)


async def main():
    box = []
    asyncio.create_task(ticks(box))
    for _ in range(5):
        await asyncio.sleep(0)
        loss = model(torch.randn(3, 2)).square().mean() + len(box)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


asyncio.run(main())
