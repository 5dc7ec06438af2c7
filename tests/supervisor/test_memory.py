"""A child that the kernel ends for want of memory; needs the right to make a control group."""

import contextlib
import os
from pathlib import Path

import pytest

LIMIT = str(300 << 20)


@pytest.fixture
def group():
    """A memory control group of its own with a limit; yields the file that takes a process into it."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = Path(base) / f"survivor-test-{os.getpid()}"
        try:
            folder.mkdir()
            (folder / limit).write_text(LIMIT)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        yield folder / "cgroup.procs"
        folder.rmdir()
        return
    pytest.skip("no right to make a memory control group here")


def test_the_kernel_s_kill_for_want_of_memory_is_told_apart_and_loses_no_snapshot(work, group):
    script = work.write(
        "import os\n"
        "for i in steps(60):\n"
        "    print(i, flush=True)\n"
        "    if i == 30 and not os.path.exists('seen'):\n"
        "        open('seen', 'w').close()\n"
        "        hog = []\n"
        "        while True:\n"
        "            hog.append(b'x' * (8 << 20))\n"
    )
    run = work.start(
        *("--every", "1h", script),
        env={"FAKE_SNAPSHOT_S": "0"},
        preexec_fn=lambda: group.write_text(str(os.getpid())),
    )
    code, out, err = run.end()
    assert code == 0, err
    assert out.split() == [*map(str, range(31)), *map(str, range(30, 60))]
    assert "was ended by the kernel, for want of memory; starting again from step 30" in err
