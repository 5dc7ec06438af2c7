"""Kills and hand-offs between two machines over a Drive that lags and loses, with the real engine: the end is exact."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from drive import a_drive
from twin import Place, Twin, plain_run

TRIES = 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_weights_the_files_and_the_output_are_the_plain_run_s(tmp_path, seed):
    script = "writes_files.py"
    plain = plain_run(script)
    a = Place(script)
    machines = {"a": a, "b": Place(script, after=a)}
    try:
        with a_drive(tmp_path / "views", seed) as drive:
            for turn, kill in enumerate(("S6", "S11 KILL all", "S15 TERM", "S20", None)):
                name = "ab"[turn % 2]
                place = machines[name]
                drive.download(name)
                if not place.store.is_symlink():
                    place.store.symlink_to(drive.view(name))
                order = None if kill is None else plain.kill(kill)
                session = until_it_begins(place, drive.view(name), order)
                assert (session.code == 0) == (kill is None), session.err
                # what a hand-off loses is done again, from as far back as it takes
                twin = Twin(plain, place, redone=1000)
                twin.compared(session)
                drive.upload(name, lost=0.0 if kill is None else 0.1, torn=0.0 if kill is None else 0.1)
            twin.ended()
    finally:
        for place in machines.values():
            place.remove()


def until_it_begins(place, view, kill):
    """A session; again while the Drive fails as it begins, and from the start where nothing whole has arrived."""
    for _ in range(TRIES):
        session = place.survive(kill)
        if session.code != 4:
            return session
        place.job.sessions.pop()
        if " whole" in session.err:
            patiently(lambda: shutil.rmtree(view / place.target.job))
    raise AssertionError(session.err)


def patiently(call):
    """Call it; again while the Drive fails."""
    for _ in range(TRIES):
        try:
            return call()
        except OSError as error:
            last = error
    raise last
