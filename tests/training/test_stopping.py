"""A wish to stop that comes in the middle of a snapshot: the next safe point is the last, and it is saved."""

from commanding import run

SCRIPT = """\
import gc, os, signal, sys, time
import torch

class Out:
    armed = False
    def __init__(self, inner):
        self.inner = inner
    def write(self, text):
        return self.inner.write(text)
    def flush(self):  # the first thing that saving does
        self.inner.flush()
        if Out.armed:
            Out.armed = False
            os.kill(os.getppid(), signal.SIGTERM)
            engine = next(each for each in gc.get_objects() if type(each).__name__ == "Engine")
            while not engine.stopping:
                time.sleep(0.001)

sys.stdout = Out(sys.stdout)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(12):
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    print("step", step)
    Out.armed = step == 5 and not os.path.exists("hit")
    if Out.armed:
        os.mkdir("hit")
"""


def test_a_wish_to_stop_that_comes_while_a_snapshot_is_taken_loses_nothing(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    sessions = []
    while not sessions or (sessions[-1].returncode == 75 and len(sessions) < 3):
        sessions.append(run(tmp_path, "--every", "0s"))
    assert [session.returncode for session in sessions] == [75, 0], sessions[-1].stderr
    assert "SIGTERM: saved at" in sessions[0].stderr
    printed = sessions[0].stdout + sessions[1].stdout
    assert printed.split("\n")[:-1] == [f"step {step}" for step in range(12)]
