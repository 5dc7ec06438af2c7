"""Loader workers outlive a stranger's signals and end when their loader asks."""

import os
import signal
import subprocess
import sys

import pytest
from supervising import is_gone, wait_for

SCRIPT = """\
import os, sys, time
import torch.utils.data
from survivor.shield import end_by_kill, shield_process, shield_worker
shield_process()

class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, i):
        time.sleep(0.02)
        return i

def shield_and_tell(worker_id):
    shield_worker(worker_id)
    print("worker", os.getpid(), flush=True)

if __name__ == "__main__":
    loader = torch.utils.data.DataLoader(
        Slow(), num_workers=2, worker_init_fn=shield_and_tell, multiprocessing_context=sys.argv[1]
    )
    iterator = iter(loader)
    end_by_kill(iterator._workers)
    print(len([next(iterator) for _ in range(2)]), flush=True)
    sys.stdin.readline()
    print(2 + len(list(iterator)), flush=True)
    abandoned = iter(loader)
    next(abandoned)
    end_by_kill(abandoned._workers)
    for worker in abandoned._workers:
        worker.terminate()
        worker.join()
        print("ended", worker.exitcode, flush=True)
"""


def shielded_workers_survive(work, method, signals):
    script = work.write(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, method],
        cwd=work.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        first = [process.stdout.readline().split() for _ in range(3)]
        workers = [int(words[1]) for words in first if words[0] == "worker"]
        assert len(workers) == 2
        for name in signals:
            os.killpg(process.pid, getattr(signal, name))
        out, _ = process.communicate("go on\n", timeout=60)
    finally:
        process.kill()
    lines = out.splitlines()
    assert "40" in lines
    assert lines[-2:] == ["ended -9", "ended -9"]
    wait_for(lambda: all(is_gone(pid) for pid in workers))


def test_forked_workers_survive_a_signal_to_the_group_and_end_with_their_loader(work):
    shielded_workers_survive(work, "fork", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])


@pytest.mark.slow  # each worker imports torch
def test_spawned_workers_survive_a_signal_to_the_group_and_end_with_their_loader(work):
    shielded_workers_survive(work, "spawn", ["SIGTERM", "SIGINT"])  # the others end python's resource tracker
