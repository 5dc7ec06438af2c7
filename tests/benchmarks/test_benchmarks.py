"""The benchmarks still run, in their smallest forms; what they measure is no test's business."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
measure = pytest.importorskip("measure")
sys.path.remove(str(BENCHMARKS))

QUICK = ["delta.py", "growth.py", "restore.py"]
LONGER = [
    "goodput.py",
    "loader_skip.py",
    "memory.py",
    "overhead.py",
    "pause.py",
    "durable.py",
    "startup.py",
    "verify.py",
    "work_lost.py",
]


def smallest(name, *more):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), "--small", *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\| --- \|", done.stdout, re.MULTILINE), done.stdout
    return done.stdout


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_benchmark_prints_its_table(name):
    smallest(name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LONGER)
def test_a_benchmark_prints_its_table(name):
    smallest(name)


def test_what_a_benchmark_has_found_can_be_read_back_and_put_into_the_page(tmp_path):
    result = measure.Result("sample", [measure.Table(["a", "b"], [["1", "2"]], "Title")], notes=["a note"], command="x")
    page = "before\n<!-- result sample -->\nold\n<!-- end sample -->\nafter\n"
    made = measure.put_in(page, result)
    assert "| 1 | 2 |" in made and "old" not in made and made.startswith("before\n") and made.endswith("\nafter\n")
    assert measure.put_in(made, result) == made


def test_the_page_shows_the_results_that_are_kept():
    page = measure.PAGE.read_text()
    for path in (ROOT / "docs" / "charts").glob("*.json"):
        result = measure.stored(path)
        assert measure.put_in(page, result) == page, f"{path.name} is not what the page shows"


def test_every_benchmark_of_the_page_is_run_by_one_command():
    text = (BENCHMARKS / "all.py").read_text()
    names = re.search(r'^NAMES = "(.+?)"', text, re.MULTILINE)[1].split()
    assert sorted(f"{name}.py" for name in names) == sorted([*QUICK, *LONGER])
    for name in names:
        assert f"<!-- result {name} -->" in measure.PAGE.read_text()


def test_charts_are_the_same_bytes_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    bars = {"kind": "bars", "title": "t", "label": "l", "bars": [["survivor", 1.0, 0.9, 1.2], ["x", 2.0, 2.0, 2.0]]}
    lines = {"kind": "lines", "title": "t", "panels": [{"label": "l", "x": "n", "lines": {"a": [[1, 1], [10, 2]]}}]}
    for number, chart in enumerate((bars, lines)):
        for name in ("one", "two"):
            measure.charts.draw(chart, tmp_path / f"{number}{name}.svg")
        assert (tmp_path / f"{number}one.svg").read_bytes() == (tmp_path / f"{number}two.svg").read_bytes()
