"""A TensorBoard writer in a folder that is named after the time: the same folder, and no step is missing in it."""

import pytest
from commanding import run

SCRIPT = """
import os, signal, time
import torch
from torch.utils.tensorboard import SummaryWriter

torch.manual_seed(0)
folder = time.strftime("runs_%Y%m%d-%H%M%S")
os.makedirs(folder, exist_ok=False)
writer = SummaryWriter(folder)
model = torch.nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(12):
    loss = model(torch.randn(8, 3)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    writer.add_scalar("loss", step, step)
    if step == 7 and os.path.exists("kill"):
        os.remove("kill")
        writer.flush()
        os.kill(os.getpid(), signal.SIGKILL)
writer.close()
"""


def test_a_killed_run_goes_on_in_the_first_sessions_folder_and_shows_every_step(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "kill").touch()
    done = run(tmp_path, "--every", "0")
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("runs_*")
    events = accumulators.EventAccumulator(str(folder)).Reload()
    assert {(scalar.step, scalar.value) for scalar in events.Scalars("loss")} == {(step, step) for step in range(12)}
