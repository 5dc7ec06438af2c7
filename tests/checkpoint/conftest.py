import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def ram(tmp_path):
    """A folder in memory where there is one: some tests sync thousands of times."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="survivor-test-"))
    yield folder
    shutil.rmtree(folder)
