"""``survivor run --deterministic``: what it sets, that it stays exact, and what is told of an operation that it forbids."""


SCRIPT = """\
import os
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.Adam(model.parameters())
counts = torch.zeros(4)
for i in range(12):
    x = torch.randn(8, 4)
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    counts.index_add_(0, torch.randint(0, 4, (8,)), x[:, 0])
    print(i, loss.item().hex(), counts.sum().item().hex(), flush=True)
    if i == 7 and os.environ.get("STRIKE"):
        os.kill(os.getpid(), 9)
print(torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
print(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
"""
BY_HAND = "import torch\ntorch.use_deterministic_algorithms(True)\n"


def test_a_killed_run_equals_a_plain_one_that_sets_it_by_itself(real):
    script, by_hand = real.write(SCRIPT), real.write(BY_HAND + SCRIPT, "by_hand.py")
    plain = real.python(by_hand).stdout.splitlines()
    command = ("--every", "0", "--max-restarts", "0", "--deterministic", script)
    code, out, err = real.run(*command, env={"PYTHONPATH": "", "STRIKE": "1"})
    assert code == 7, err
    assert out.splitlines() == plain[:8]
    # it is a part of the job: the command that goes on need not say it again
    code, out, err = real.run("--every", "0", script, env={"PYTHONPATH": ""})
    assert code == 0, err
    lines = out.splitlines()
    assert plain[:-2][-len(lines) + 2 :] == lines[:-2]
    assert lines[-2:] == ["True False", ":4096:8"]


def test_an_operation_without_a_deterministic_way_is_told_with_its_line(real):
    script = real.write("import torch\ntotal = torch.zeros(3)\ntotal.put_(torch.tensor([0]), torch.ones(1))\n")
    assert real.run(script, env={"PYTHONPATH": ""})[0] == 0
    code, _, err = real.run("--fresh", "--deterministic", script, env={"PYTHONPATH": ""})
    assert code == 1
    assert 'script.py", line 3' in err and "put_ does not have a deterministic implementation" in err
