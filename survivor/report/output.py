"""One transcript of a whole job: the newest checkpoint's output, and what its last session printed after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from survivor.checkpoint import transcript
from survivor.checkpoint.job import SessionRecord
from survivor.checkpoint.repository import Repository
from survivor.errors import FormatError, NewerFormatError, StoreError


@dataclass(frozen=True, kw_only=True)
class JobOutput:
    """What a job has printed to standard output.

    Attributes:
        parts: the bytes, as the plain script prints them, up to where the job stands.
        position: of the checkpoint that they lead to, in words; "" if there is none.
        ended: the script has run to its end, by itself or by an error of its own.
        problem: why a newer part is missing; "" if nothing is.
    """

    parts: list[memoryview]
    position: str = ""
    ended: bool = False
    problem: str = ""


def job_output(repository: Repository) -> JobOutput:
    """The transcript of a job.

    Raises:
        StoreError: the store can't be read.
    """
    parts, position, problem = _newest(repository)
    sessions = SessionRecord.read_all(repository)
    last = sessions[-1].result if sessions else {}
    if last.get("outcome") not in ("finished", "failed"):
        return JobOutput(parts=parts, position=position, problem=problem)
    start, text = _tail(last.get("output"))
    missing = start - sum(len(part) for part in parts)
    problem = f"{missing} bytes before the last {len(text)} are missing: {problem or 'not kept'}"
    return JobOutput(parts=[*_first(start, parts), memoryview(text)], ended=True, problem=problem * (missing > 0))


def _first(size: int, parts: list[memoryview]) -> Iterator[memoryview]:
    for part in parts:
        yield part[:size]
        size -= len(part[:size])


def _newest(repository: Repository) -> tuple[list[memoryview], str, str]:
    """Output and position of the newest checkpoint whose output is whole, and why a newer one was passed over."""
    problem = ""
    for info in reversed(repository.list()):
        try:
            checkpoint = repository.open_checkpoint(info.name)
            return transcript.pieces(checkpoint.document, checkpoint.blobs()), info.position, problem
        except NewerFormatError:
            raise
        except StoreError as error:
            problem = problem or str(error)
    return [], "", problem


def _tail(output: Any) -> tuple[int, bytes]:
    if not isinstance(output, dict):
        return 0, b""
    start, text = output.get("start", 0), output.get("text", "")
    if not isinstance(start, int) or start < 0 or not isinstance(text, str):
        raise FormatError("the last session's record does not hold what it should")
    return start, text.encode("latin-1", errors="replace")
