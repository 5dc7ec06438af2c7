"""The fixture of this folder."""

import pytest
from supervising import Workplace


@pytest.fixture
def work(tmp_path):
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()
