"""The loop and its state stand in a package beside the folder of the script."""

import torch

STEPS = 0


class Meter:
    def __init__(self):
        self.values = []

    @property
    def mean(self):
        return sum(self.values) / len(self.values)


class Trainer:
    def __init__(self, model):
        self.model, self.optimizer, self.meters = model, torch.optim.SGD(model.parameters(), lr=0.05), {}

    def fit(self, data, epochs):
        global STEPS
        for epoch in range(epochs):
            self.meters[epoch] = Meter()
            for x in data:
                loss = ((self.model(x) - x * (1 + 0.01 * STEPS)) ** 2).mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                STEPS += 1
                self.meters[epoch].values.append(loss.item())
            print(epoch, STEPS, self.meters[epoch].mean)
