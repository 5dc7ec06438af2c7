# nothing calls backward or step: evolution, k-means, a table, a perceptron, descent by hand, one after another
import random
import numpy as np
import torch
torch.manual_seed(0)
theta, target = torch.zeros(4), torch.arange(4.)
def fitness(t):
    return -((t - target) ** 2).sum().item()
for generation in range(4):
    noise = torch.randn(5, 4)
    scores = []
    for k in range(5):
        scores.append(fitness(theta + 0.1 * noise[k]))
        event("k", scores[-1])
    scores = torch.tensor(scores)
    theta += 0.05 * (noise.t() @ (scores - scores.mean())) / 5
    event("generation", theta)

X = torch.randn(40, 2)
C = X[torch.randperm(40)[:3]].clone()
def move(shift=float("inf")):
    global C
    while shift > 0.02:
        nearest = torch.cdist(X, C).argmin(1)
        new = torch.stack([X[nearest == k].mean(0) if (nearest == k).any() else C[k] for k in range(3)])
        shift, C = (new - C).norm().item(), new
        event("moved", shift, C)
    return shift
event(move())

table = {}
class Walk:
    def __init__(self):
        self.at = 3
    def go(self, way):
        self.at += way
        return self.at, float(self.at == 6)
for episode in range(4):
    walk, at = Walk(), 3
    while 0 < at < 6:
        way = random.choice([-1, 1])
        after, reward = walk.go(way)
        best = max((table.get((after, w), 0.0) for w in (-1, 1)))
        table[at, way] = table.get((at, way), 0.0) * 0.5 + 0.5 * (reward + 0.9 * best)
        at = after
    event("episode", table)

weights, data = [0.0, 0.0], [(1.0, 2.0, 1), (-1.5, 0.5, -1), (0.3, -1.0, -1)]
for epoch in range(4):
    for a, b, label in data:
        if label * (weights[0] * a + weights[1] * b) <= 0:
            weights[0] += label * a
            weights[1] += label * b
    if epoch == 2:
        break
event(weights)
A, y, v = np.random.rand(6, 2), np.random.rand(6), np.zeros(2)
for i in range(6):
    v -= 0.1 * (A.T @ (A @ v - y))
    event(v)
