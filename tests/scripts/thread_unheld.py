"""A thread that draws random numbers beside the training, and that no variable holds."""

import threading

import torch

model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
noise, wanted, ready = [0.0], threading.Semaphore(0), threading.Semaphore(0)


def draw():
    while True:
        wanted.acquire()
        noise[0] = torch.rand(1).item()
        ready.release()


threading.Thread(target=draw, daemon=True).start()
for _ in range(5):
    wanted.release()
    ready.acquire()
    loss = model(torch.ones(3, 2) * noise[0]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
