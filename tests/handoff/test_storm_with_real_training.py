"""Kills and hand-offs between two machines over a Drive that lags and loses, with the real engine: the end is exact."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from drive import Drive
from twin import Kill, Place, plain_run, same_objects

from survivor.checkpoint.repository import Repository
from survivor.report.output import job_output


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_weights_the_files_and_the_output_are_the_plain_run_s(tmp_path, seed):
    script = "writes_files.py"
    plain = plain_run(script)
    drive = Drive(tmp_path / "views", seed)
    machines = {name: Place(script) for name in "ab"}
    try:
        for turn, kill in enumerate(("S6", "S11 KILL all", "S15 TERM", "S20", None)):
            name = "ab"[turn % 2]
            place = machines[name]
            place.sessions = turn  # other random seeds in each session
            drive.download(name)
            shutil.rmtree(place.root / "store", ignore_errors=True)
            shutil.copytree(drive.view(name), place.root / "store")
            # on a machine that the job left long ago its files are old
            order = None if kill is None else Kill.parse(kill).order(plain)
            session = place.survive(kill=order)
            if session.code == 4:  # nothing whole has arrived: the user is told, and starts over
                assert " whole" in session.err
                shutil.rmtree(place.root / "store")
                session = place.survive(kill=order)
            assert (session.code == 0) == (kill is None), session.err
            shutil.rmtree(drive.view(name))
            shutil.copytree(place.root / "store", drive.view(name), dirs_exist_ok=True)
            drive.upload(name, lost=0.0 if kill is None else 0.1, torn=0.0 if kill is None else 0.1)
        logged = job_output(Repository.open(str(place.root / "store"), "writes_files"))
        assert logged.data.decode() == plain.out
        written = {n: d for n, d in place.written().items() if not n.endswith(".kept-by-survivor")}
        assert sorted(written) == sorted(plain.files)
        for file, content in plain.files.items():
            assert written[file] == content or same_objects(written[file], content), file
    finally:
        for place in machines.values():
            place.remove()
