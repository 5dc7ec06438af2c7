"""Snapshots that are copied beside a training which changes its tensors in every way that there is."""

import os
import random
import signal

from supervising import wait_for

SCRIPT = """\
import hashlib, time
import torch

torch.manual_seed(0)
torch.set_num_threads(1)
NUMBERS = 200_000
ways = torch.nn.ParameterDict({
    name: torch.nn.Parameter(torch.randn(NUMBERS)) for name in ["step", "data", "counted", "array", "replaced", "kept"]
})
optimizer = torch.optim.Adam(ways.parameters(), lr=0.01)
second = torch.optim.SGD([ways["step"]], lr=0.1, momentum=0.9)
alias = ways["kept"].data
for i in range(100):
    noise = torch.rand(1).item()
    ways["data"].data.mul_(1 - noise / 100)
    with torch.no_grad():
        ways["counted"].add_(noise)
    ways["array"].detach().numpy()[i::7] *= noise
    if i % 5 == 4:
        ways["replaced"].data = ways["replaced"].data * 0.9
        optimizer.state[ways["step"]]["exp_avg"] *= noise
    alias.clamp_(-2, 2)
    loss = sum((p * (p + noise)).square().mean() for p in ways.values())
    if i % 3 == 0:
        optimizer.zero_grad(set_to_none=i % 2 == 0)
    loss.backward()
    for p in ways.values():
        p.grad *= 0.5
    (optimizer if i % 4 else second).step()
    print(i, loss.item(), flush=True)
    time.sleep(0.02)
digest = hashlib.sha256()
for tensor in [*ways.values(), *(p.grad for p in ways.values())]:
    digest.update(tensor.detach().numpy().tobytes())
for state in [*optimizer.state.values(), *second.state.values()]:
    for tensor in state.values():
        digest.update(tensor.numpy().tobytes())
print(digest.hexdigest())
"""


def test_a_killed_child_goes_on_equal_from_snapshots_that_were_copied_beside_the_training(real):
    script = real.write(SCRIPT)
    plain = real.python(script).stdout
    run = real.start("--every", "1h", "--overhead", "60%", "--max-restarts", "9", script, env={"PYTHONPATH": ""})

    def taken():
        return [event["step"] for event in run.events() if event["event"] == "snapshot_taken"]

    for number in range(3):
        known = len(taken())
        wait_for(lambda known=known, n=number: len(taken()) >= known + 3 + n or run.process.poll() is not None)
        child = run.child_pid()
        wait_for(lambda c=child: random.random() < 0.3 or run.process.poll() is not None)
        os.kill(child, signal.SIGKILL)
        wait_for(lambda c=child: run.child_pid() != c or run.process.poll() is not None)
    code, _, err = run.end()
    assert code == 0, err
    assert len([event for event in run.events() if event["event"] == "started"]) == 4, "killed thrice"
    # a line that came after a killed child's last snapshot comes again
    assert sorted(set(run.lines)) == sorted(set(plain.splitlines()))
    assert run.lines[-1] == plain.splitlines()[-1]
