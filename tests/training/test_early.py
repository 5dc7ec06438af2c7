"""What a script sets for torch before it imports it is set before survivor imports it."""

import os

from survivor.training.early import set_environment


def test_constants_above_the_import_are_set_and_those_below_are_not(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    set_environment(
        b"import os\nos.environ['OMP_NUM_THREADS'] = '3'\nos.environ.setdefault('OPENBLAS_NUM_THREADS', '2')\n"
        b"os.environ['MY_OWN'] = 'x'\nimport torch\nos.environ['MKL_NUM_THREADS'] = '1'\n"
    )
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert os.environ["MKL_NUM_THREADS"] == "7"
    assert "MY_OWN" not in os.environ
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")


def test_a_default_does_not_replace_what_is_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    set_environment(b"import os\nos.environ.setdefault('OMP_NUM_THREADS', '3')\n")
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_script_that_does_not_parse_is_left_to_the_compiler():
    set_environment(b"def (:\n")
