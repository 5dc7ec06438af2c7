"""Runs ckpt-chaos, a tool by others that kills a command at each file event of a save and judges the resume.

    pip install '.[benchmarks]'
    python benchmarks/chaos_verdict.py [writer|job|job-writer] [--max-points N]

``writer`` is survivor's writer alone, in one process, killed at each event. ``job`` is a real ``survivor run`` whose
supervisor is killed at its events, ``job-writer`` one whose writer process is (again and again, since a new one is
killed at the same place: the supervisor must train on). ckpt-chaos tells a file by its path from the working folder,
and survivor's store names files relative to open folders: so the command runs inside the folder that is watched.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "chaos"


def command(target: str) -> str:
    """The shell line that ckpt-chaos runs; it puts a folder of its own in place of ``{out}``."""
    python = shlex.quote(sys.executable)
    if target == "writer":
        return f"mkdir -p {{out}} && cd {{out}} && exec {python} {shlex.quote(str(HERE / 'writer.py'))}"
    run = f"{python} -m survivor run --every 0 --store . {shlex.quote(str(HERE / 'train.py'))}"
    armed = f"PYTHONPATH={shlex.quote(str(HERE))}:$PYTHONPATH CKPT_CHAOS_ARMED=1 " if target == "job-writer" else ""
    return f"mkdir -p {{out}}/tmp && cd {{out}} && TMPDIR={{out}}/tmp OMP_NUM_THREADS=1 {armed}exec {run}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", default="writer", choices=("writer", "job", "job-writer"))
    parser.add_argument("--max-points", type=int, default=10_000, help="at most so many places to kill at; 0 for all")
    options = parser.parse_args()
    result = "final.bin" if options.target == "writer" else "final.pt"
    words = ["ckpt-chaos", "run", "--result-file", f"{{out}}/{result}", "--step-regex", r"step (\d+)"]
    words += ["--modes", "before", "--timeout", "300"]
    words += ["--max-points", str(options.max_points)] if options.max_points else []
    with tempfile.TemporaryDirectory() as work:
        words += ["--work", work, "--", "sh", "-c", command(options.target)]
        sys.exit(subprocess.run(words, check=False, env={**os.environ, "PYTHONUNBUFFERED": "1"}).returncode)


if __name__ == "__main__":
    main()
