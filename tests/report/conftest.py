import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "supervisor"))

from supervising import Workplace


@pytest.fixture
def work(tmp_path):
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()
