"""For a test suite of your own: a training function or script is killed, continued, and must come out the same.

As a pytest plugin (it is found by itself where survivor is installed) it gives the fixture ``resumes_exactly``::

    def test_training_survives(resumes_exactly):
        resumes_exactly(train, kill_at=[3, 17])

`assert_resumes_exactly` is the same without pytest. A failure's message is the report of ``survivor verify``.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

from survivor.errors import UsageError

if TYPE_CHECKING:
    from survivor.proof.report import Report
    from survivor.proof.runs import Target

_DRIVER = Path(__file__).parent / "proof" / "driver.py"


def verify(
    train: Callable[[], Any] | str | os.PathLike[str],
    *,
    kill_at: Sequence[int] | int = (),
    kills: int = 2,
    signals: Sequence[str] = ("term", "kill"),
    args: Sequence[str] = (),
    steps: int | None = None,
    seed: int | None = None,
    jobs: int = 1,
    sample: int = 1,
    folder: str | os.PathLike[str] | None = None,
    keep: str | os.PathLike[str] | None = None,
) -> Report:
    """Kill and continue a training, and compare it with the plain one; the report says what was found.

    Args:
        train: a function without arguments (``functools.partial`` gives it some), or the path of a script.
        kill_at: optimizer steps after which it is killed; places of survivor's choice by default.
        kills: how many places survivor chooses.
        signals: names of signals, taken in turn: ``term``, ``kill``, ``int``, ``hup``, ``usr1``.
        args: of a script.
        steps: optimizer steps after which each run is over; all by default.
        seed: seeds what the training leaves unseeded, and hashes.
        jobs: interrupted runs side by side, each with its share of the cores.
        sample: the state is compared at about one of so many steps.
        folder: working folder, which each run gets a copy of; a script's own by default, an empty one for a function.
        keep: folder in which the runs are kept.

    Returns:
        The report; ``report.is_exact`` and ``report.text()`` tell.

    Raises:
        UsageError: an argument is wrong.
    """
    from survivor.proof.runs import threads_side_by_side
    from survivor.proof.verify import Options, Proof

    options = Options(
        kills=kills,
        signals=tuple(_signal(name) for name in signals),
        at=(kill_at,) if isinstance(kill_at, int) else tuple(kill_at),
        jobs=jobs,
        seed=seed or 0,
        sample=sample,
        keep=Path(keep) if keep is not None else None,
    )
    place = Path(folder).absolute() if folder is not None else None
    common: dict[str, Any] = {"seed": seed, "steps": steps, "threads": threads_side_by_side(jobs)}
    if not callable(train):
        return Proof(_script(Path(train).absolute(), args, place, common), options).run()
    if args:
        raise UsageError("args are for a script", advice="give a function its arguments with functools.partial")
    with tempfile.TemporaryDirectory(prefix="survivor-testing-") as scratch:
        return Proof(_function(train, Path(scratch), place, common), options).run()


def _signal(name: str) -> Signals:
    known = ("term", "kill", "int", "hup", "usr1")
    if name.lower() not in known:
        raise UsageError(f"signals: {name!r} is none of {', '.join(known)}")
    return Signals[f"SIG{name.upper()}"]


def _script(script: Path, args: Sequence[str], place: Path | None, common: dict[str, Any]) -> Target:
    from survivor.proof.runs import Target

    if not script.is_file():
        raise UsageError(f"there is no script {script}", advice="give the path of a script, or a function")
    place = place or script.parent
    name = str(script.relative_to(place)) if place in script.parents else str(script)
    return Target(words=(name, *args), folder=place, **common)


def _function(train: Callable[[], Any], scratch: Path, place: Path | None, common: dict[str, Any]) -> Target:
    from survivor.proof.runs import Target

    bundle = _bundle(train, scratch)
    empty = scratch / "folder"
    empty.mkdir()
    source = Path(_file_of(train))
    return Target(
        words=(str(_DRIVER), str(bundle)),
        folder=place or empty,
        driver=True,
        roots=(str(source.parent),),
        source=source,
        name=getattr(train, "__qualname__", repr(train)),
        **common,
    )


def assert_resumes_exactly(train: Callable[[], Any] | str | os.PathLike[str], **options: Any) -> Report:
    """`verify`, and fail unless the training resumes exactly; for the arguments see there.

    Raises:
        AssertionError: with the report: the first difference, where it is, and what may cause it.
    """
    report = verify(train, **options)
    if not report.is_exact:
        raise AssertionError(report.text())
    return report


def _bundle(function: Callable[[], Any], scratch: Path) -> Path:
    """The function, and what its process needs to find what it names."""
    import cloudpickle

    path = scratch / "function.pickle"
    pickled = cloudpickle.dumps(function)
    path.write_bytes(cloudpickle.dumps((list(sys.path), _file_of(function), pickled)))
    return path


def _file_of(function: Callable[[], Any]) -> str:
    target: Any = function
    while hasattr(target, "func"):
        target = target.func
    try:
        return os.path.abspath(inspect.getsourcefile(inspect.unwrap(target)) or "")
    except TypeError:
        return os.path.abspath(inspect.getsourcefile(type(target)) or "")


try:
    import pytest
except ImportError:  # survivor itself does not need it
    pass
else:

    @pytest.fixture
    def resumes_exactly() -> Callable[..., Report]:
        """`assert_resumes_exactly`."""
        return assert_resumes_exactly
