"""Some hundreds of races for one folder: one session commits, the others stop, and no checkpoint is a mixture."""

import os
import random
import signal
import time

import pytest
from jobfolder import assert_exact, content, snapshot
from test_lease import ended, forked

from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.errors import JobRunningError
from survivor.store import FolderStore


class Careless(FolderStore):
    """A folder as a mounted Drive may be: a taken name is looked for, not locked, and may be written over."""

    def put_if_absent(self, name, data):
        if any(entry.name == name for entry in self.files(name.rpartition("/")[0])):
            return False
        time.sleep(random.random() / 500)
        self.put(name, [data])
        return True


class Race:
    """Contenders that start at once; each takes the job, commits, and later tries to once more.

    ``first`` has the numbers of those that committed all (w), were stopped (s) and never held the job (l);
    ``again`` of those whose later commit was taken (w) or refused (s).
    """

    def __init__(self, store, job, contenders, commits, *, take_over=False):
        self.store, self.job, self.commits, self.take_over = store, job, commits, take_over
        self._report, self._tell = os.pipe()
        gates = [os.pipe(), os.pipe()]
        pids = [forked(lambda number=number: self._contend(number, gates)) for number in range(1, contenders + 1)]
        for number, (wait, go) in enumerate(gates):
            os.close(wait)
            os.close(go)
            if number == 0:
                self.first = self._heard(contenders)
        self.again = self._heard(len(self.first["w"]))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            ended(pid)
        os.close(self._report)
        os.close(self._tell)

    def _heard(self, count):
        answers = b""
        while len(answers) < 2 * count:
            answers += os.read(self._report, 2 * count - len(answers))
        text = answers.decode()
        return {kind: {int(n) for k, n in zip(text[::2], text[1::2], strict=True) if k == kind} for kind in "wsl"}

    def _contend(self, number, gates):
        for _, go in gates:
            os.close(go)
        random.seed(number)
        os.read(gates[0][0], 1)
        try:
            lease = Lease.acquire(self.store, self.job, session=number, take_over=self.take_over)
        except JobRunningError:
            self._end("l", number)
        repository = Repository(self.store, self.job)
        repository.lease = lease
        found = repository.newest()
        step = found.step if found else 0
        for done in range(1, self.commits + 2):
            if done > self.commits:
                os.write(self._tell, b"w%d" % number)
                os.read(gates[1][0], 1)
            try:
                blobs = {"mine": content(f"{number} {step + done}", 400), "same": content("same", 400)}
                repository.commit(snapshot(step + done, blobs), session=number, token=lease.token)
            except JobRunningError:
                self._end("s", number)
        self._end("w", number)

    def _end(self, kind, number):
        os.write(self._tell, f"{kind}{number}".encode())
        # alive until all have ended, since a dead holder frees the job
        signal.pause()


def checked(store, job):
    """Every checkpoint is exactly what one session wrote; returns them oldest first."""
    repository = Repository(store, job)
    infos = repository.list()
    for info in infos:
        checkpoint = repository.open_checkpoint(info.name)
        assert_exact(checkpoint)
        mine = bytes(checkpoint.blob("mine").data)
        assert mine == content(f"{info.session} {info.step}", 400)
    return infos


RACES = [60, pytest.param(400, marks=pytest.mark.slow)]


@pytest.mark.parametrize("races", RACES)
def test_of_three_who_ask_at_once_one_commits(ram, races):
    store = FolderStore(ram)
    for turn in range(races):
        race = Race(store, f"job-{turn}", 3, 2)
        assert len(race.first["w"]) == 1 and len(race.first["l"]) == 2, race.first
        assert race.again["w"] == race.first["w"]
        assert [info.session for info in checked(store, f"job-{turn}")] == 3 * list(race.first["w"])


@pytest.mark.parametrize("races", RACES)
def test_of_three_who_take_over_at_once_the_last_one_counts(ram, races):
    """The others stop at their next commit, and what they had committed is below the last one's."""
    store = FolderStore(ram)
    for turn in range(races):
        race = Race(store, f"job-{turn}", 3, 4, take_over=True)
        infos = checked(store, f"job-{turn}")
        assert len(race.again["w"]) == 1, (race.first, race.again)
        assert infos[-1].session in race.again["w"]
        last = [info.session for info in infos if info.name[:8] == infos[-1].name[:8]]
        assert last == 5 * list(race.again["w"])


@pytest.mark.parametrize("races", RACES)
def test_where_names_are_not_exclusive_one_goes_on_all_the_same(ram, races):
    """Two may believe that they hold a token; by the next commit only the one whose claim is there still does."""
    store, doubled = Careless(ram), 0
    for turn in range(races):
        race = Race(store, f"job-{turn}", 3, 2)
        assert len(race.again["w"]) == 1, (race.first, race.again)
        doubled += len(race.first["w"]) > 1
        checked(store, f"job-{turn}")
    assert doubled, "no race was one: the test shows nothing"
