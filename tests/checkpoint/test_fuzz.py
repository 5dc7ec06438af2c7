"""The coverage-guided fuzzer of ``benchmarks/fuzz_parsers.py``, for a short time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/fuzz_parsers.py"


@pytest.mark.slow
def test_no_input_makes_a_parser_do_anything_but_answer_or_refuse(tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, SCRIPT, "--seconds", "40", "--corpus", tmp_path / "corpus"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.search(r"Done (\d+) runs", done.stderr)[1]) > 1000
