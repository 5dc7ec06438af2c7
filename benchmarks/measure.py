"""What all benchmarks share: turns, medians, tables, and the page and charts that are made of them.

A benchmark prints its tables as Markdown. With ``--out docs/charts`` it also writes its result as JSON, draws its
chart, and puts its tables into the page (``docs/performance.md``) between the marks with its name, so that a
rerun by one command brings figures, charts and page along. ``--small`` is the smallest form, which the tests run.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import re
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import charts
from jobs import where

T = TypeVar("T")
HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
#: Tools that figures are compared with; their versions stand beside each result.
PEERS = ("lightning", "accelerate", "ravex", "moonclip", "ray", "torchdata", "safetensors")


@dataclass
class Table:
    """A table of texts; the first cell of each row says what the row is."""

    head: list[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""

    def markdown(self) -> str:
        """The table as the page shows it."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.head, ["---"] * len(self.head), *self.rows)]
        return "\n".join([*([f"{self.title}:", ""] if self.title else []), *lines])


@dataclass
class Result:
    """What a benchmark has found.

    Attributes:
        name: of the benchmark, its chart and its place in the page.
        command: what it was run with.
        tables: for readers.
        chart: what the chart shows (see ``charts.draw``).
        notes: lines that belong under the tables, such as seeds.
    """

    name: str
    tables: list[Table]
    chart: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    command: str = field(default_factory=lambda: shown(sys.argv))
    machine: str = ""
    versions: str = ""

    def markdown(self) -> str:
        """Tables, notes, machine and command."""
        end = f"`python benchmarks/{self.command}` on {self.machine}; {self.versions}."
        return "\n\n".join([*(table.markdown() for table in self.tables), *self.notes, end])


def shown(argv: list[str]) -> str:
    """A command line without the folder it was called from, and without where its results go."""
    return re.sub(r" --out \S+", "", " ".join([Path(argv[0]).name, *argv[1:]]))


def options(text: str, **more: Any) -> argparse.Namespace:
    """The command line: ``--small``, ``--out``, and an integer option for each further name."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the smallest form, to see that it works")
    parser.add_argument("--out", type=Path, help="folder for the result and its chart; the page follows")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def turns(rounds: int, ways: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Take the ways in turns (A B A B ...), so that what else the machine does falls on all of them."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return found


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def apart(call: Callable[..., T], *args: Any, **words: Any) -> T:
    """Call a function in a fork of this process, whose memory and patches go with it; what it returned.

    By ``os.fork``, since survivor leaves the children of multiprocessing alone.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with os.fdopen(writer, "wb") as file:
                pickle.dump(call(*args, **words), file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{call.__name__} failed")
    found: T = pickle.loads(data)
    return found


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: list[float], form: str = ".2f") -> str:
    """Median and range."""
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def ratios(values: list[float], base: list[float]) -> list[float]:
    """Turn by turn, so that a slow minute is in both."""
    return [a / b for a, b in zip(values, base, strict=True)]


def last_line(command: list[str], folder: Path, **env: str) -> dict[str, Any]:
    """Run a program that prints JSON last; what it printed."""
    done = subprocess.run(command, cwd=folder, env=environment(**env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(**more: str) -> dict[str, str]:
    """One thread of arithmetic, so that results are equal and neighbours disturb less; no reports to anybody."""
    quiet = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **quiet, **more}


def publish(result: Result, out: Path | None) -> None:
    """Print the result; with a folder, keep it there, draw its chart and bring the page up to date."""
    result.machine, result.versions = where(), versions()
    print(result.markdown())
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{result.name}.json").write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")
    if result.chart:
        charts.draw(result.chart, out / f"{result.name}.svg")
    if out.resolve() == PAGE.parent / "charts":
        PAGE.write_text(put_in(PAGE.read_text(), result))


def put_in(page: str, result: Result) -> str:
    """The page with this result between its marks."""
    begin, end = f"<!-- result {result.name} -->", f"<!-- end {result.name} -->"
    assert begin in page and end in page, f"{PAGE.name} has no place for {result.name}"
    before, rest = page.split(begin)
    picture = f"![{result.chart['title']}](charts/{result.name}.svg)\n\n" if result.chart else ""
    return f"{before}{begin}\n{picture}{result.markdown()}\n{end}{rest.split(end)[1]}"


def stored(path: Path) -> Result:
    """A result that was kept."""
    found = json.loads(path.read_text())
    return Result(**{**found, "tables": [Table(**table) for table in found["tables"]]})


def versions() -> str:
    """Versions of the tools that are here."""
    found = []
    for name in PEERS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found) or f"Python {platform.python_version()}"


def has(name: str) -> bool:
    """Whether a tool is installed; figures are taken without it otherwise, and its row is missing."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
