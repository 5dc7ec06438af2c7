"""DQN: a deque of tuples, epsilon-greedy with random.Random, a target network, a toy environment."""
import random
from collections import deque, namedtuple

import torch
import torch.nn as nn
import torch.optim as optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class ReplayMemory(object):
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


class Env:
    def __init__(self):
        self.rng = random.Random(11)

    def reset(self):
        self.x, self.v, self.n = self.rng.uniform(-1, 1), 0.0, 0
        return [self.x, self.v]

    def step(self, a):
        self.v += (a - 1) * 0.3 - 0.1 * self.x + self.rng.gauss(0, 0.02)
        self.x += self.v
        self.n += 1
        return [self.x, self.v], 1.0 - abs(self.x), abs(self.x) > 2 or self.n > 9


class DQN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(2, 16)
        self.layer2 = nn.Linear(16, 3)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


BATCH_SIZE, GAMMA, TAU = 8, 0.9, 0.05
random.seed(0)
torch.manual_seed(0)
env = Env()
policy_net, target_net = DQN(), DQN()
target_net.load_state_dict(policy_net.state_dict())
optimizer = optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
memory = ReplayMemory(24)
steps_done = 0
episode_durations = []


def select_action(state):
    global steps_done
    eps_threshold = 0.1 + 0.8 * 0.95**steps_done
    steps_done += 1
    if random.random() > eps_threshold:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(3)]], dtype=torch.long)


def optimize_model():
    if len(memory) < BATCH_SIZE:
        return
    batch = Transition(*zip(*memory.sample(BATCH_SIZE)))
    mask = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
    following = torch.cat([s for s in batch.next_state if s is not None])
    values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    next_values = torch.zeros(BATCH_SIZE)
    with torch.no_grad():
        next_values[mask] = target_net(following).max(1).values
    loss = nn.SmoothL1Loss()(values, (next_values * GAMMA + torch.cat(batch.reward)).unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()


for i_episode in range(5):
    state = torch.tensor(env.reset()).unsqueeze(0)
    t = 0
    while True:
        action = select_action(state)
        observation, reward, terminated = env.step(action.item())
        next_state = None if terminated else torch.tensor(observation).unsqueeze(0)
        memory.push(state, action, next_state, torch.tensor([reward]))
        state = next_state
        optimize_model()
        weights = target_net.state_dict()
        for key, value in policy_net.state_dict().items():
            weights[key] = value * TAU + weights[key] * (1 - TAU)
        target_net.load_state_dict(weights)
        t += 1
        if terminated:
            episode_durations.append(t)
            print("episode", i_episode, "duration", t, "reward", repr(reward), len(memory), steps_done)
            break
print(episode_durations, [float(p.sum()) for p in target_net.parameters()])
