"""Actor-critic over rollouts in arrays: running statistics, GAE, several epochs of minibatches, a counter in self."""
import numpy as np
import torch
import torch.nn as nn
from torch.distributions.normal import Normal


class Pendulum:
    observation_size, action_size = 3, 1

    def __init__(self, seed):
        self.np_random = np.random.default_rng(seed)
        self.last_u = None

    def _obs(self):
        return np.array([np.cos(self.th), np.sin(self.th), self.thdot], dtype=np.float32)

    def reset(self):
        self.th, self.thdot = self.np_random.uniform(-np.pi, np.pi), self.np_random.uniform(-1, 1)
        self.steps = 0
        return self._obs()

    def step(self, u):
        self.last_u = u = float(np.clip(u, -2, 2))
        cost = ((self.th + np.pi) % (2 * np.pi) - np.pi) ** 2 + 0.1 * self.thdot**2 + 0.001 * u**2
        self.thdot = np.clip(self.thdot + (15 * np.sin(self.th) + 3 * u) * 0.05, -8, 8)
        self.th += self.thdot * 0.05
        self.steps += 1
        return self._obs(), -cost, self.steps >= 13


class RunningMeanStd:
    def __init__(self, shape):
        self.mean, self.var, self.count = np.zeros(shape), np.ones(shape), 1e-4

    def update(self, x):
        delta = x - self.mean
        self.count += 1
        self.mean += delta / self.count
        self.var += (delta * (x - self.mean) - self.var) / self.count


class RolloutBuffer:
    def __init__(self, size, obs_size):
        self.size = size
        self.obs = np.zeros((size, obs_size), dtype=np.float32)
        self.actions = np.zeros(size, dtype=np.float32)
        self.rewards, self.values, self.logprobs, self.dones = (np.zeros(size) for _ in range(4))
        self.advantages = np.zeros(size)
        self.pos, self.full = 0, False

    def add(self, **items):
        for name, value in items.items():
            getattr(self, name)[self.pos] = value
        self.pos += 1
        self.full = self.pos == self.size

    def finish(self, last_value, gamma=0.9, lam=0.95):
        gae = 0
        for t in reversed(range(self.size)):
            nextv = last_value if t == self.size - 1 else self.values[t + 1]
            delta = self.rewards[t] + gamma * nextv * (1 - self.dones[t]) - self.values[t]
            self.advantages[t] = gae = delta + gamma * lam * (1 - self.dones[t]) * gae
        self.pos, self.full = 0, False

    def batches(self, n):
        order = np.random.permutation(self.size)
        for start in range(0, self.size, n):
            yield order[start : start + n]


class Agent:
    def __init__(self):
        self.env = Pendulum(3)
        self.actor = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        self.critic = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        self.log_std = nn.Parameter(torch.zeros(1))
        self.opt_actor = torch.optim.Adam([*self.actor.parameters(), self.log_std], lr=3e-3)
        self.opt_critic = torch.optim.Adam(self.critic.parameters(), lr=1e-2)
        self.rms = RunningMeanStd(3)
        self.buffer = RolloutBuffer(20, 3)
        self.num_timesteps = 0
        self.episode_rewards = []

    def normalize(self, obs):
        self.rms.update(obs)
        return ((obs - self.rms.mean) / np.sqrt(self.rms.var + 1e-8)).astype(np.float32)

    def collect(self):
        while not self.buffer.full:
            obs = self.normalize(self.last_obs)
            with torch.no_grad():
                x = torch.from_numpy(obs)
                dist = Normal(self.actor(x), self.log_std.exp())
                action = dist.sample()
                value = self.critic(x)
            self.last_obs, reward, done = self.env.step(action.item())
            self.episode_return += reward
            self.buffer.add(obs=obs, actions=action.item(), rewards=reward, values=value.item(),
                            logprobs=dist.log_prob(action).item(), dones=done)
            self.num_timesteps += 1
            if done:
                self.episode_rewards.append(self.episode_return)
                self.episode_return = 0.0
                self.last_obs = self.env.reset()
        with torch.no_grad():
            self.buffer.finish(self.critic(torch.from_numpy(self.normalize(self.last_obs))).item())

    def update(self):
        b = self.buffer
        for _ in range(2):
            for idx in b.batches(10):
                obs, act = torch.from_numpy(b.obs[idx]), torch.from_numpy(b.actions[idx]).unsqueeze(1)
                adv = torch.tensor(b.advantages[idx], dtype=torch.float32)
                ret = adv + torch.tensor(b.values[idx], dtype=torch.float32)
                ratio = (Normal(self.actor(obs), self.log_std.exp()).log_prob(act).squeeze(1)
                         - torch.tensor(b.logprobs[idx], dtype=torch.float32)).exp()
                loss_pi = -torch.min(ratio * adv, ratio.clamp(0.8, 1.2) * adv).mean()
                self.opt_actor.zero_grad()
                loss_pi.backward()
                self.opt_actor.step()
                loss_v = (self.critic(obs).squeeze(1) - ret).pow(2).mean()
                self.opt_critic.zero_grad()
                loss_v.backward()
                self.opt_critic.step()
        return loss_pi.item(), loss_v.item()

    def learn(self, total):
        self.last_obs, self.episode_return = self.env.reset(), 0.0
        iteration = 0
        while self.num_timesteps < total:
            self.collect()
            losses = self.update()
            iteration += 1
            print(iteration, self.num_timesteps, losses, self.rms.mean.tolist(), self.episode_rewards[-2:])


if __name__ == "__main__":
    np.random.seed(0)
    torch.manual_seed(0)
    agent = Agent()
    agent.learn(100)
    print(sum(agent.episode_rewards), agent.log_std.item())
