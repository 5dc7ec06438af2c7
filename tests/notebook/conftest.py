import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "supervisor"))

from kernels import Kernel


@pytest.fixture
def kernels(tmp_path):
    """Starts kernels that share one folder; all are gone at the end."""
    started = []

    def start(**env):
        started.append(Kernel(tmp_path, **env))
        return started[-1]

    yield start
    for kernel in started:
        kernel.close()
