"""How the costs of a checkpoint, of a resume and of a look at the job grow with what is there.

    python benchmarks/growth.py [--out docs/charts]

Four sizes grow: the number of tensors in the state, of checkpoints in the job folder, of sessions, and of lines that
the job has printed. The bytes of the state do not. Times are medians, on the file system of the temporary folder.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import Result, Table, median, options, publish, seconds

from survivor.checkpoint.job import JobRecord, SessionRecord
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.collecting import paused
from survivor.report.output import job_output
from survivor.report.status import status_of
from survivor.state.decode import Decoder
from survivor.state.encode import Encoder
from survivor.state.scope import Scope
from survivor.training.output import Output

_STATE_BYTES = 8 << 20
Lines = dict[str, list[list[float]]]


def grown(sizes: list[int], make: Callable[[int, Path], dict[str, Callable[[], object]]], rounds: int) -> Lines:
    """For each size, the seconds that each of some calls takes."""
    lines: Lines = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name, call in make(size, Path(folder)).items():
                took = median([seconds(call) for _ in range(rounds)])
                lines.setdefault(name, []).append([size, took])
    return lines


@paused()
def snapshot_of(value: Any, step: int) -> Snapshot:
    """What the child makes at a safe point."""
    encoder = Encoder(Scope(Path("/nowhere")))
    reference = encoder.ref(value, -1, "value")
    blobs = encoder.finish()
    return Snapshot(document=[reference, encoder.nodes], blobs=blobs, step=step, position="")


def restore(folder: Path, live: Any) -> None:
    """The newest checkpoint into what the script has built."""
    found = Repository.open(folder, "job").newest(load=True)
    assert found is not None
    reference, nodes = found.document
    decoder = Decoder(nodes, found.blobs(), Scope(Path("/nowhere")))
    decoder.pair(reference, live)
    decoder.settle()
    decoder.value(reference)


def tensors(count: int, folder: Path) -> dict[str, Callable[[], object]]:
    """A state of 8 MB in so many tensors."""
    state = [torch.rand(max(_STATE_BYTES // 4 // count, 1)) for _ in range(count)]
    repository, step = Repository.open(folder, "job"), iter(range(1, 10**6))

    def commit() -> None:
        for tensor in state:
            tensor += 1
        repository.commit(snapshot_of(state, next(step)), session=1, token=1)

    commit()
    return {
        "capture": lambda: snapshot_of(state, 1),
        "capture + commit": commit,
        "restore": lambda: restore(folder, state),
    }


def checkpoints(count: int, folder: Path) -> dict[str, Callable[[], object]]:
    """So many checkpoints of a small state in one folder."""
    state, repository, step = [torch.rand(1000)], Repository.open(folder, "job"), iter(range(1, 10**6))

    def commit() -> None:
        state[0] += 1
        repository.commit(snapshot_of(state, next(step)), session=1, token=1)

    for _ in range(count):
        commit()
    return {
        "commit": commit,
        "restore": lambda: restore(folder, state),
        "list all": lambda: Repository.open(folder, "job").list(),
    }


def sessions(count: int, folder: Path) -> dict[str, Callable[[], object]]:
    """So many sessions of one job."""
    repository = Repository.open(folder, "job")
    JobRecord(argv=("train.py",), script="train.py", source="").write(repository)
    for _ in range(count):
        SessionRecord.begin(repository, pid=1).end(repository, "saved", {"outcome": "saved"})
    return {
        "begin a session": lambda: SessionRecord.begin(Repository.open(folder, "job"), pid=1),
        "status": lambda: status_of(Repository.open(folder, "job")),
    }


def printed(count: int, folder: Path) -> dict[str, Callable[[], object]]:
    """A job that has printed so many lines of 16 bytes, kept in memory as a child keeps them."""
    output, repository, step = Output(), Repository.open(folder, "job"), iter(range(1, 10**6))
    for start in range(0, count, 100_000):
        lines = b"".join(b"loss %010d\n" % n for n in range(start, min(start + 100_000, count)))
        output.note(lines)
    state = [torch.rand(1000)]

    def attach() -> Snapshot:
        made = snapshot_of(state, next(step))
        document: dict[str, Any] = {"state": made.document}
        blobs: dict[str, Blob] = dict(made.blobs)
        return output.attach(Snapshot(document=document, blobs=blobs, step=made.step, position=""))

    def commit() -> None:
        state[0] += 1
        repository.commit(output.filled(attach()), session=1, token=1)

    commit()
    return {
        "capture": attach,
        "commit": commit,
        "survivor log": lambda: io.BytesIO().writelines(job_output(Repository.open(folder, "job")).parts),
    }


def main() -> None:
    """Measure and print."""
    args = options(__doc__, rounds=5)
    torch.set_num_threads(1)
    small, rounds = args.small, 1 if args.small else args.rounds
    panels = []
    for label, what, make, sizes in (
        ("tensors in a state of 8 MB", "tensors", tensors, [10, 100, 1000, 10_000]),
        ("checkpoints in the folder", "checkpoints", checkpoints, [1, 10, 100, 1000]),
        ("sessions of the job", "sessions", sessions, [1, 10, 100]),
        ("lines printed", "lines", printed, [1000, 10_000, 100_000, 1_000_000, 10_000_000]),
    ):
        with contextlib.redirect_stdout(io.StringIO()):
            lines = grown(sizes[:1] if small else sizes, make, rounds)
        panels.append({"label": label, "x": what, "lines": lines})
    tables = []
    for panel in panels:
        first = next(iter(panel["lines"].values()))
        rows = [[name, *(f"{1000 * y:.1f}" for _, y in points)] for name, points in panel["lines"].items()]
        tables.append(Table([f"{panel['label']}; ms", *(f"{x:,}" for x, _ in first)], rows))
    chart = {"kind": "lines", "title": "Seconds, as things grow", "panels": panels}
    publish(Result("growth", tables, chart), args.out)


if __name__ == "__main__":
    main()
