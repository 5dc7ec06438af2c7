"""A thread of the script's own that fetches ahead: where it stands is not to be seen."""

import queue
import threading

import torch


class Ahead(threading.Thread):
    def __init__(self, source):
        super().__init__(daemon=True)
        self.source, self.items = source, queue.Queue(maxsize=2)
        self.start()

    def run(self):
        for item in self.source:
            self.items.put(item)
        self.items.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        item = self.items.get()
        if item is None:
            raise StopIteration
        return item


torch.manual_seed(0)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in Ahead(torch.randn(12, 2)):
    loss = (model(x) - x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
