"""``proof.json``: what was run, where, and what was found equal, for a paper's appendix or a reviewer."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import survivor
from survivor.proof.report import Report
from survivor.proof.runs import Target
from survivor.proof.verify import Options
from survivor.supervisor.environment import fingerprint

VERSION = 1


def document(report: Report, target: Target, options: Options) -> dict[str, Any]:
    """The proof as JSON's types."""
    script = target.folder / target.words[0]
    rows = [dataclasses.asdict(row) | {"signal": row.signal.name} for row in report.rows]
    return {
        "proof": VERSION,
        "survivor": survivor.__version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": list(target.words),
        "script_sha256": hashlib.sha256(script.read_bytes()).hexdigest() if script.is_file() else "",
        "outcome": report.outcome,
        "seed": target.seed,
        "threads": target.threads,
        "steps_limit": target.steps,
        "sample": options.sample,
        "fingerprint": fingerprint(),
        "kills": rows,
        "not_compared": report.notes,
        **{name: value for name, value in report.numbers.items() if name != "kills"},
    }


def write_proof(path: Path, report: Report, target: Target, options: Options) -> None:
    """Write it.

    Raises:
        OSError: the file can't be written.
    """
    path.write_text(json.dumps(document(report, target, options), indent=2) + "\n", encoding="utf-8")
