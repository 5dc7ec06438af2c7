"""The usual layout: scripts in one folder, what they use in another."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import torch  # noqa: E402
from lib.loop import Trainer  # noqa: E402

torch.manual_seed(0)
Trainer(torch.nn.Linear(3, 3)).fit(torch.randn(7, 3), 3)
