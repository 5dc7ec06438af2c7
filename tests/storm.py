"""A storm: a short training job under survivor that is hit by random signals until it gets through.

``python tests/storm.py RUNS [SEED]`` runs that many and prints counts. Each run draws, for each of its sessions, a
moment, a signal and a target: the training process, the supervisor, the child's whole group, a loader worker, the writer,
or all at once. In the end its output and its log must be those of the plain script, no process may be left, and no
session may begin before the newest snapshot of the one before it, as long as somebody was left to write it.
"""

import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SCRIPT = """\
import hashlib, sys, time
import torch
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(3)
# wide enough that a part of each snapshot is copied beside the training
model = torch.nn.Sequential(torch.nn.Linear(8, 40_000), torch.nn.Dropout(0.2), torch.nn.Linear(40_000, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
data = TensorDataset(torch.randn(160, 8), torch.randint(0, 2, (160,)))
loader = DataLoader(data, batch_size=8, shuffle=True, num_workers=WORKERS)
log = open("log.txt", "w")
for epoch in range(4):
    total = 0.0
    for x, y in loader:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        time.sleep(0.01)
    print(epoch, total, file=log, flush=True)
digest = hashlib.sha256()
for tensor in [*model.state_dict().values(), *(v for s in optimizer.state.values() for v in s.values())]:
    digest.update(tensor.numpy().tobytes())
print("digest", digest.hexdigest(), torch.rand(1).item())
"""
#: What may hit: number of the signal, and whom.
SIGNALS = [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGINT]
TARGETS = ["child", "supervisor", "group", "worker", "writer", "all"]
MOST_SESSIONS = 5  # the one after them is left alone
PATIENCE_S = 120


class Storm:
    """One run, from an empty folder to its end."""

    def __init__(self, seed, workers):
        self.random = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="storm-"))
        self.mark = f"storm-{os.getpid()}-{seed}"
        (self.folder / "train.py").write_text(SCRIPT.replace("WORKERS", str(workers)))
        self.hits = []

    def plain(self):
        done = self._start([sys.executable, "train.py"])
        out, err = done.communicate(timeout=PATIENCE_S)
        assert done.returncode == 0, err
        return out, (self.folder / "log.txt").read_text()

    def run(self):
        """Sessions until one gets through; returns output and log."""
        command = [sys.executable, "-m", "survivor", "run", "--every", "1s", "--overhead", "30%", "--grace", "20s"]
        command += ["--max-restarts", "9", "--events", "events.jsonl", "train.py"]
        out = ""
        for number in range(MOST_SESSIONS + 1):
            process = self._start(command)
            if number < MOST_SESSIONS:
                self._hit(process)
            more, err = process.communicate(timeout=PATIENCE_S)
            out += more
            assert process.returncode in (0, 75, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP), (
                f"session {number} ended with {process.returncode} after {self.hits}:\n{err}"
            )
            if process.returncode == 0:
                break
        self._nobody_is_left()
        self._nothing_was_lost()
        return out, (self.folder / "log.txt").read_text()

    def remove(self):
        for process in self._marked():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, command):
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "STORM": self.mark, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def _hit(self, process):
        """Wait a random while, then hit; a session that is through before is not hit."""
        if self.random.random() < 0.8:  # usually when it trains already
            self._wait_for_start(process)
            delay_s = self.random.uniform(0, 2.0)
        else:
            delay_s = self.random.uniform(0, 3.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay_s)
            return
        number, target = self.random.choice(SIGNALS), self.random.choice(TARGETS)
        self.hits.append((number.name, target))
        hit = self._targets(process, target)
        for pid in hit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGSTOP:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.uniform(0, 0.5))
            for pid in hit:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _wait_for_start(self, process):
        began, before = time.monotonic(), len(self._events())
        while process.poll() is None and time.monotonic() - began < 60:
            if any(event["event"] == "started" for event in self._events()[before:]):
                return
            time.sleep(0.02)

    def _targets(self, process, target):
        found = {"supervisor": [process.pid], "child": [], "writer": [], "worker": []}
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(process.pid).children():
                kind = "writer" if any("writer_main" in word for word in each.cmdline()) else "child"
                found[kind].append(each.pid)
                if kind == "child":
                    found["worker"] += [worker.pid for worker in each.children(recursive=True)]
        if target == "group":
            return found["child"] + found["worker"]
        if target == "all":
            return [pid for pids in found.values() for pid in pids]
        if target == "worker":
            return found["worker"][:1]
        return found[target]

    def _events(self):
        path = self.folder / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _marked(self):
        """Every process that this storm has started, whoever its parent is now."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if f"STORM={self.mark}" in Path(f"/proc/{process.pid}/environ").read_text().split("\0"):
                    yield process

    def _nobody_is_left(self):
        _, alive = psutil.wait_procs(list(self._marked()), timeout=30)
        told = [(process.pid, process.cmdline()) for process in alive]
        assert not told, f"left behind after {self.hits}: {told}"

    def _nothing_was_lost(self):
        """Each start is at the newest snapshot before it, or the newest checkpoint where all were killed at once."""
        newest = {"snapshot_taken": 0, "checkpoint_saved": 0}
        killed_all = ("SIGKILL", "all") in self.hits or ("SIGKILL", "writer") in self.hits
        for event in self._events():
            if event["event"] in newest:
                newest[event["event"]] = max(newest[event["event"]], event["step"])
            elif event["event"] == "started":
                least = newest["checkpoint_saved"] if killed_all else max(newest.values())
                assert event["step"] >= least, (event["step"], newest, self.hits)


def run(seed, workers, plain=None):
    """One storm; returns its hits.

    Raises:
        AssertionError: something was lost, left or different.
    """
    storm = Storm(seed, workers)
    try:
        expected = plain or storm.plain()
        out, log = storm.run()
        if any(name == "SIGKILL" for name, _ in storm.hits):  # what came after the newest snapshot is printed again
            out = "".join(dict.fromkeys(out.splitlines(keepends=True)))
        assert (out, log) == expected, f"after {storm.hits}:\n{out}\n{log}\nand not\n{expected}"
        return storm.hits
    finally:
        storm.remove()


def main(count, seed=0):
    """Run storms and print what hit how often, and what went wrong."""
    plain = {workers: Storm(-1 - workers, workers).plain() for workers in (0, 2)}
    counts, faults = collections.Counter(), []
    done = 0
    for number in range(seed, seed + count):
        try:
            counts.update(run(number, 2 * (number % 2), plain[2 * (number % 2)]))
            done += 1
        except KeyboardInterrupt:
            break
        except (AssertionError, subprocess.TimeoutExpired) as error:
            faults.append((number, str(error)))
            print(f"--- run {number}: {error}", flush=True)
    print(f"{done + len(faults)} runs, {sum(counts.values())} hits, {len(faults)} faults")
    for (name, target), times in sorted(counts.items()):
        print(f"  {name:8} {target:11} {times}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
