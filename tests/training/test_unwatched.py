"""Steps that no watched loop takes: the user is told where they are."""

import pytest
from commanding import run

SCRIPT = """
import sys, threading, torch
torch.manual_seed(0)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def step():
    optimizer.zero_grad()
    model(torch.randn(3, 2)).square().mean().backward()
    optimizer.step()

def again(n):
    step()
    if n:
        again(n - 1)

{what}
print(model.weight.sum().item())
"""


@pytest.mark.parametrize(
    "what, told",
    [
        ("again(3)", "in again, which calls itself, at script.py:13"),
        ("any((step(), False)[1] for _ in range(4))", "in a generator expression, at script.py:17"),
        ("thread = threading.Thread(target=again, args=(3,), name='mine'); thread.start(); thread.join()", "in the thread mine"),
        ("step(); step()", "in no loop, at script.py:9"),
        ("import fitting; fitting.fit(step)", "in the installed package fitting, at script.py:9"),
    ],
)
def test_steps_outside_of_watched_loops_are_told_of_with_line_and_construct(tmp_path, what, told):
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "fitting.py").write_text("def fit(step):\n    for _ in range(4):\n        step()\n")
    (tmp_path / "script.py").write_text(SCRIPT.format(what=f"sys.path.append({str(installed)!r}); {what}"))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert told in done.stderr and "after a kill that part begins again" in done.stderr


def test_a_comprehension_of_steps_is_a_loop_like_any_other(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(what="print([step() for _ in range(4)])"))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "outside of every loop" not in done.stderr
