"""Objects of libraries' and of inner classes that are first made in the loop, and held over its head."""

import datetime
import fractions
import re
import time
import uuid

import networkx
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


torch_version = torch.__version__
tiny = torch.finfo(torch.float32)
seeds = np.random.SeedSequence(3)
for found in re.finditer(r"(\w+)=(\d+)", "rows=6 columns=4"):
    pass
started = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


class Loss(float):
    """A number that knows where it is from."""


def train():
    """The classes that stand here exist in the running function only."""

    class Meter:
        def __init__(self, value):
            self.values = [value]

    torch.manual_seed(2)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    held = None
    picture = Image.new("RGB", (2, 2))
    for step in range(20):
        x = torch.randn(6, int(found[2])) + tiny.eps
        x[0] += np.random.default_rng(seeds.spawn(1)[0]).random() + started.year / 1e4
        x[1] += float(np.asarray(picture).sum()) / 1e4
        picture.putpixel((0, 0), (step, 2 * step, 3))
        if step % 4 == 0:
            picture = Image.fromarray(np.full((2, 2, 3), 10 * step, dtype=np.uint8))
        if held is None:
            noise = torch.zeros(6, 3)
        else:
            policy, shape, meter, graph, curve, share, best, when, mark, functions, loss, backends = held
            for function in functions:
                x = function(x)
            with sdpa_kernel(backends):
                x = x + nn.functional.scaled_dot_product_attention(x[None], x[None], x[None])[0] * loss * loss.step
            noise = policy.rsample() + curve(float(share)) + graph.number_of_edges() + mark.int + when.tm_year % 7
            noise = noise.expand(shape) * meter.values[0] + best.values
        loss = ((model(x) - 0.01 * noise) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 3 == 0:
            held = (
                torch.distributions.Normal(torch.zeros(3), torch.ones(3) + step),
                noise.shape,
                Meter(loss.item()),
                networkx.path_graph(3 + step % 4),
                np.polynomial.Polynomial([step, 1.0]),
                fractions.Fraction(step, 7),
                torch.randn(3, 4).max(1, keepdim=True).values.expand(3, 3)[0:1].max(0),
                time.gmtime(step * 40_000_000),
                uuid.UUID(int=step),
                [torch.tanh, torch.Tensor.abs] if step % 2 else [torch.sin, nn.functional.gelu],
                Loss(loss.item()),
                [SDPBackend.MATH] if step % 2 else [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION],
            )
            held[-2].step = 0.01 * step
        print(f"{step} {loss.item():.9g}")


train()
print(torch_version)
