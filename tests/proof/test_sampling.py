"""Where state is compared at some steps only, the first difference is found all the same."""

from survivor.testing import verify

#: From the sixth step on, in a resumed run, ``held`` gets other numbers; no loss shows it before the twentieth.
SCRIPT = """
import itertools
import torch
torch.manual_seed(0)
torch.our_counts = itertools.count(1)
x = torch.randn(24, 3)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
held = []
for step in range(24):
    held.append(next(torch.our_counts))
    loss = model(x).square().mean() * (held[5] if step >= 19 else 1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_the_first_difference_between_two_walks_is_found_by_a_closer_run(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    report = verify(tmp_path / "train.py", kill_at=5, signals=["kill"], sample=1000)
    text = report.text()
    assert report.outcome == "differs", text
    assert report.divergence.stage == "state" and report.divergence.at_step == 6, text
    assert report.divergence.leaves[0].path == "held", text
    assert "[5] 6" in report.values[0] and "[5] 1" in report.values[1], text
    assert "state was walked at 1 of 1000 steps; then at each event" in text
    assert "an installed module" in report.hint, text
