"""An environment that lives in another process, stepped through a pipe: nobody can save that."""

from multiprocessing import Pipe, Process

import torch


def live(pipe):
    state = 0.5
    while True:
        state = 0.9 * state + 0.1 * pipe.recv()
        pipe.send(state)


if __name__ == "__main__":
    torch.manual_seed(0)
    ours, theirs = Pipe()
    Process(target=live, args=(theirs,), daemon=True).start()
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    action = 0.0
    for step in range(12):
        ours.send(action)
        value = model(torch.tensor([ours.recv()]))
        action = value.item()
        optimizer.zero_grad()
        value.square().sum().backward()
        optimizer.step()
    print(action)
