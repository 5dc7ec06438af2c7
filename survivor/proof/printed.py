"""What was printed and which files were written, compared with two plain runs, so that a clock's times don't count."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from survivor.proof import saved
from survivor.proof.compare import Divergence
from survivor.proof.runs import Job
from survivor.proof.workplace import Workplace

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|0x[0-9a-f]+")
_STAMP = re.compile(r"\d{8,}")
#: What survivor itself leaves beside a file that it has put back.
_OURS = ".kept-by-survivor"


def _form(line: str) -> str:
    return _NUMBER.sub("#", line)


@dataclass
class Printed:
    """The output of the plain script, and what of it differs from one plain run to the next.

    Attributes:
        lines: of the first run.
        volatile: for the form of a line (its numbers as ``#``), the numbers in it that differ, from 0.
        left_out: lines that hold such a number.
        comparable: false where two plain runs don't even print the same text around the numbers.
    """

    lines: list[str]
    volatile: dict[str, set[int]] = field(default_factory=dict)
    left_out: int = 0
    comparable: bool = True

    @classmethod
    def learn(cls, first: str, second: str) -> Printed:
        """From two plain runs."""
        found = cls(first.splitlines())
        other = second.splitlines()
        if len(other) != len(found.lines):
            found.comparable = False
            return found
        for a, b in zip(found.lines, other, strict=True):
            if a == b:
                continue
            if _form(a) != _form(b):
                found.comparable = False
                return found
            numbers = zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True)
            found.volatile.setdefault(_form(a), set()).update(i for i, (x, y) in enumerate(numbers) if x != y)
        found.left_out = sum(_form(line) in found.volatile for line in found.lines)
        return found

    def same(self, a: str, b: str) -> bool:
        """Whether two lines are equal but for what can't be compared."""
        if a == b:
            return True
        if _form(a) != _form(b):
            return False
        free = self.volatile.get(_form(a), set())
        numbers = zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True)
        return all(x == y or i in free for i, (x, y) in enumerate(numbers))

    def compare(self, text: str, *, whole: bool) -> tuple[int, str, str] | None:
        """Number, expected and found text of the first line that differs; ``text`` may end early unless ``whole``."""
        if not self.comparable:
            return None
        found = text.splitlines()
        if not whole and text and not text.endswith("\n"):
            found.pop()  # cut in the middle of a line
        for i, line in enumerate(found):
            if i >= len(self.lines):
                return i + 1, "(nothing)", line
            if not self.same(self.lines[i], line):
                return i + 1, self.lines[i], line
        if whole and len(found) < len(self.lines):
            return len(found) + 1, self.lines[len(found)], "(nothing)"
        return None


def printed_by(job: Job) -> str:
    """What an interrupted run has printed: of each session what stood at the checkpoint that the next went on from."""
    text = b""
    ends: dict[int, int] = {0: 0}  # engine's step -> length of the output at that checkpoint
    for session in job.sessions:
        restored = session.trace.restored
        begin = ends.get(restored.step, len(text)) if restored is not None else 0
        text = text[:begin]
        for mark in session.trace.marks:
            if mark.kind == "C":
                ends[mark.step] = begin + mark.out
        text += session.out.encode()
    return text.decode(errors="replace")


def compare_output(printed: Printed, text: str, *, whole: bool, home: Path, other_home: Path) -> Divergence | None:
    """The first line of a run that is not the plain run's."""
    text = text.replace(str(other_home), str(home))
    different = printed.compare(text, whole=whole)
    if different is None:
        return None
    number, expected, found = different
    return Divergence("output", kind=str(number), expected=expected, found=found)


@dataclass(frozen=True)
class Files:
    """The files of the plain script that were equal in both plain runs; a time stamp in a name is written as ``#``.

    Attributes:
        contents: by name.
        left_out: names of those that weren't equal.
        all_named: both plain runs wrote files of the same names, so that no other name is one of the script's.
    """

    contents: dict[str, bytes]
    left_out: tuple[str, ...] = ()
    all_named: bool = True

    @classmethod
    def learn(cls, first: Workplace, second: Workplace) -> Files:
        """From two plain runs."""
        one, two = _by_form(first), _by_form(second)
        equal, left = {}, []
        for name, path in one.items():
            content = path.read_bytes()
            if name in two and _same(content, two[name].read_bytes()):
                equal[name] = content
            else:
                left.append(name)
        return cls(equal, tuple(left), set(one) == set(two))

    def compare(self, place: Workplace) -> Divergence | None:
        """The first file of a finished run that is not the plain run's."""
        found = _by_form(place)
        for name, content in self.contents.items():
            if name not in found:
                return Divergence("files", kind=name, expected=f"{len(content)} bytes", found="no such file")
            other = found[name].read_bytes()
            if not _same(content, other):
                expected, seen = _difference(content, other)
                return Divergence("files", kind=name, expected=expected, found=seen)
        known = {*self.contents, *self.left_out}
        more = next((name for name in found if name not in known and not name.endswith(_OURS)), None)
        if more is None or not self.all_named:
            return None
        return Divergence("files", kind=more, expected="no such file", found=f"{found[more].stat().st_size} bytes")


def _by_form(place: Workplace) -> dict[str, Path]:
    return {_STAMP.sub("#", name): path for name, path in place.written().items()}


def _same(content: bytes, other: bytes) -> bool:
    return content == other or saved.same(content, other)


def _difference(content: bytes, other: bytes) -> tuple[str, str]:
    mine, theirs = content.splitlines(), other.splitlines()
    for i, (a, b) in enumerate(zip(mine, theirs, strict=False)):
        if a != b and a.isascii() and b.isascii():
            return f"line {i + 1}: {a.decode()[:120]}", f"line {i + 1}: {b.decode()[:120]}"
    return f"{len(content)} bytes", f"{len(other)} bytes"
