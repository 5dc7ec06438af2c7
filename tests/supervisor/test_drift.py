"""The environment between two sessions: what is put back, what is told, in which order."""

import pytest
from supervising import clean_environment

from survivor.supervisor.drift import table
from survivor.supervisor.environment import after, differences, put_back

LOOP = "import os\nfor i in steps(9):\n    print(os.environ.get('OMP_NUM_THREADS'), flush=True)\n    if i == 4 and not os.path.exists('struck'):\n        open('struck', 'w').close()\n        os.kill(os.getpid(), 9)\n"


def begun(work, **env):
    code, out, err = work.run("--every", "0", "--max-restarts", "0", work.write(LOOP), env=env)
    assert code == 7, err
    return out


def test_differences_are_sorted_by_what_they_do_to_the_bits():
    before = {"torch": "2.4", "gpu": "T4", "host": "a", "cpu instructions": "avx512"}
    now = {"torch": "2.5", "gpu": "A100", "host": "b", "cpu instructions": "avx2"}
    drift = differences(before, now)
    assert [d.effect for d in drift] == ["will differ", "will differ", "may differ", "harmless"]
    assert table(drift, []).splitlines()[0].startswith("will differ ")


def test_a_processor_with_more_instructions_is_told_to_use_the_old_ones():
    before, now = {"cpu instructions": "avx2"}, {"cpu instructions": "avx512"}
    changes = put_back(before, now)
    assert changes["ATEN_CPU_CAPABILITY"] == "avx2"
    assert after(now, changes) == before
    assert put_back(now, before) == {}, "one with fewer can't be helped"


def test_thread_variables_are_put_back_and_told(work):
    assert begun(work, OMP_NUM_THREADS="3").split() == ["3"] * 5
    code, out, err = work.run("--every", "0", "script.py", env={"OMP_NUM_THREADS": "1"})
    assert code == 0, err
    assert out.split() == ["3"] * 5
    assert "put back    OMP_NUM_THREADS: 3 (here it was 1)" in err
    assert "results may differ" not in err


def test_what_was_put_back_once_is_put_back_again(work):
    begun(work, OMP_NUM_THREADS="3")
    (work.folder / "struck").unlink()
    begun(work, OMP_NUM_THREADS="1")
    _, out, _ = work.run("--every", "0", "script.py", env={"OMP_NUM_THREADS": "1"})
    assert set(out.split()) == {"3"}


def test_another_instruction_set_is_told_and_can_be_made_an_error(work):
    begun(work)
    narrower = {"ATEN_CPU_CAPABILITY": "default"}
    code, _, err = work.run("--every", "0", "--on-drift", "error", "script.py", env=narrower)
    assert code == 3 and "will differ cpu instructions:" in err
    code, _, err = work.run("--every", "0", "script.py", env=narrower)
    assert code == 0 and "will differ cpu instructions:" in err


def test_ignored_drift_is_neither_told_nor_put_back(work):
    begun(work, OMP_NUM_THREADS="3")
    _, out, err = work.run("--every", "0", "--on-drift", "ignore", "script.py", env={"OMP_NUM_THREADS": "1"})
    assert set(out.split()) == {"1"} and "put back" not in err


THREADS = """\
import os
import torch
torch.manual_seed(0)
data = torch.randn(1 << 17)
weight = torch.ones(1, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=1e-9)
for i in range(12):
    loss = (data * weight * (i + 1)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(i, loss.item().hex(), weight.item().hex(), flush=True)
    if i == 8 and os.environ.get("STRIKE"):
        os.kill(os.getpid(), 9)
"""


def test_another_number_of_threads_is_put_back_and_stays_exact(real):
    script = real.write(THREADS)
    base = {key: value for key, value in clean_environment().items() if key != "PYTHONPATH"}
    # a thread that waits must not spin: the tests may share two processors with much else
    common = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": ""}
    wide, narrow = (common | {"MKL_NUM_THREADS": n, "OMP_NUM_THREADS": n} for n in "21")
    plain = real.python(script, env=base | wide).stdout
    if real.python(script, env=base | narrow).stdout == plain:
        pytest.skip("this machine sums alike with one thread and with two")
    code, _, err = real.run("--every", "0", "--max-restarts", "0", script, env=wide | {"STRIKE": "1"})
    assert code == 7, err
    code, out, err = real.run("--every", "0", script, env=narrow)
    assert code == 0, err
    assert "continuing at" in err and plain.endswith(out) and out


def test_torch_s_own_thread_count_is_put_back_where_no_variable_says_it(real, monkeypatch):
    from survivor.training import surroundings

    torch = pytest.importorskip("torch")
    had = torch.get_num_threads()
    said = []
    surroundings.begin(deterministic=False)
    surroundings.settle({**surroundings._found, "threads": had + 1, "mkl": "another"}, "warn", said.append)
    try:
        assert torch.get_num_threads() == had + 1
        assert len(said) == 1 and "mkl: another before" in said[0]
    finally:
        torch.set_num_threads(had)
