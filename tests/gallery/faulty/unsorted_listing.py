"""Parts of a data set are read in the order in which a folder lists them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

torch.manual_seed(0)
os.makedirs("parts")


def write(number):
    time.sleep(time.time_ns() // 1000 % 11 / 200)
    with open(f"parts/{number}-{time.time_ns()}.txt", "w") as file:
        file.write(str(number))


with ThreadPoolExecutor(9) as pool:
    list(pool.map(write, range(9)))
parts = [int(open(f"parts/{name}").read()) for name in os.listdir("parts")]
noise = sum(part * 0.5**i for i, part in enumerate(parts)) / 9

x, y = torch.randn(24, 3), torch.randn(24, 1)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(12):
    loss = nn.functional.mse_loss(model(x) + noise, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
