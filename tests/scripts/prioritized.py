"""Double DQN with a prioritised replay in arrays and a sum tree; everything hangs on one object; epsilon decays."""
import math

import numpy as np
import torch
import torch.nn as nn


class GridWorld:
    """Collect coins on a ring."""

    def __init__(self, n, rng):
        self.n, self.rng = n, rng
        self.episodes = 0

    def reset(self):
        self.episodes += 1
        self.position = int(self.rng.integers(self.n))
        self.coins = self.rng.random(self.n) < 0.4
        self.left = 10
        return self.observe()

    def observe(self):
        return np.concatenate([np.roll(self.coins, -self.position), [self.left / 10]]).astype(np.float32)

    def step(self, action):
        self.position = (self.position + (1, -1, 2)[action]) % self.n
        reward = float(self.coins[self.position])
        self.coins[self.position] = False
        self.left -= 1
        return self.observe(), reward, self.left == 0


class SumTree:
    def __init__(self, size):
        self.size = size
        self.tree = np.zeros(2 * size)
        self.states = np.zeros((size, 7), np.float32)
        self.nexts = np.zeros((size, 7), np.float32)
        self.actions = np.zeros(size, np.int64)
        self.rewards = np.zeros(size, np.float32)
        self.dones = np.zeros(size, bool)
        self.extra = np.empty(size, dtype=object)
        self.write = self.filled = 0
        self.top = 1.0

    def set(self, i, p):
        i += self.size
        self.tree[i] = p
        while i > 1:
            i //= 2
            self.tree[i] = self.tree[2 * i] + self.tree[2 * i + 1]

    def add(self, s, a, r, s2, d, info):
        i = self.write
        self.states[i], self.actions[i], self.rewards[i], self.nexts[i], self.dones[i] = s, a, r, s2, d
        self.extra[i] = info
        self.set(i, self.top)
        self.write = (i + 1) % self.size
        self.filled = min(self.filled + 1, self.size)

    def sample(self, n):
        picks = []
        for _ in range(n):
            v, i = np.random.uniform(0, self.tree[1]), 1
            while i < self.size:
                i *= 2
                if v > self.tree[i]:
                    v -= self.tree[i]
                    i += 1
            picks.append(i - self.size)
        return np.array(picks)


class Agent:
    def __init__(self):
        self.rng = np.random.default_rng(8)
        self.env = GridWorld(6, self.rng)
        self.online, self.target = (nn.Sequential(nn.Linear(7, 12), nn.ReLU(), nn.Linear(12, 3)) for _ in range(2))
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=5e-3)
        self.memory = SumTree(32)
        self.frame = 0
        self.epsilon = 1.0
        self.scores = []

    def act(self, state):
        if np.random.random() < self.epsilon:
            return int(self.rng.integers(3))
        return int(self.online(torch.from_numpy(state)).argmax())

    def learn(self):
        m = self.memory
        index = m.sample(6)
        states, nexts = torch.from_numpy(m.states[index]), torch.from_numpy(m.nexts[index])
        q = self.online(states).gather(1, torch.from_numpy(m.actions[index]).unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            best = self.online(nexts).argmax(1, keepdim=True)
            future = self.target(nexts).gather(1, best).squeeze(1) * torch.from_numpy(~m.dones[index]).float()
        error = torch.from_numpy(m.rewards[index]) + 0.9 * future - q
        self.optimizer.zero_grad()
        error.pow(2).mean().backward()
        self.optimizer.step()
        for i, e in zip(index, error.abs().tolist()):
            m.set(i, e + 0.01)
            m.top = max(m.top, e)

    def run(self, frames):
        state, score = self.env.reset(), 0.0
        while True:
            self.frame += 1
            self.epsilon = 0.1 + 0.9 * math.exp(-self.frame / 15)
            action = self.act(state)
            following, reward, done = self.env.step(action)
            self.memory.add(state, action, reward, following, done, {"frame": self.frame, "r": (reward, done)})
            state = following
            score += reward
            if done:
                self.scores.append(score)
                print(self.frame, score, repr(self.epsilon), self.env.episodes)
                state, score = self.env.reset(), 0.0
            if self.frame >= 8 and self.frame % 2 == 0:
                self.learn()
            if self.frame % 12 == 0:
                self.target.load_state_dict(self.online.state_dict())
            if self.frame == frames:
                return self.scores


if __name__ == "__main__":
    torch.manual_seed(8)
    np.random.seed(8)
    agent = Agent()
    print(agent.run(50), agent.memory.tree[1], agent.memory.extra[3], agent.memory.filled)
