"""The fixtures of this folder."""

import pytest
from supervising import Workplace


@pytest.fixture
def work(tmp_path):
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A workplace with the real engine, which takes longer to start."""
    monkeypatch.setattr("supervising.PATIENCE_S", 200.0)
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()
