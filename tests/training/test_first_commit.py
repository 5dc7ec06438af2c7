"""A job that was killed in its very first commit begins anew; one whose trained state is gone does not."""

from dataclasses import replace

import pytest
from commanding import run

from survivor.checkpoint.job import JobRecord
from survivor.checkpoint.repository import Repository

SCRIPT = """\
import torch
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    print(step)
"""


@pytest.mark.parametrize(("left", "code"), [("start", 0), ("trained", 4)])
def test_what_is_left_of_a_commit_that_was_cut_off_decides_whether_a_job_can_begin_anew(tmp_path, left, code):
    (tmp_path / "script.py").write_text(SCRIPT)
    assert run(tmp_path).returncode == 0
    job = tmp_path / "survivor-jobs/script"
    for path in (job / "checkpoints").iterdir():
        path.unlink()
    packs = sorted((job / "packs").iterdir())  # they sort by step; the first is the script's start
    for path in packs[1:] if left == "start" else packs[:-1]:
        path.unlink()
    repository = Repository.open(job.parent, job.name)
    replace(JobRecord.read(repository), finished=False).write(repository)
    again = run(tmp_path)
    assert again.returncode == code, again.stderr
    assert "was passed over: its tensors are there" in again.stderr
    assert again.stdout.split() == (["0", "1", "2"] if code == 0 else [])
