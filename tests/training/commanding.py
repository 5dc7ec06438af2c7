"""``survivor run`` in a folder, with the real engine, to its end."""

import os
import subprocess
import sys


def run(folder, *options):
    """The finished process of ``survivor run OPTIONS script.py``."""
    return subprocess.run(
        [sys.executable, "-m", "survivor", "run", *options, "script.py"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
