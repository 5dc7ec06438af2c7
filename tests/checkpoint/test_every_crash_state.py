"""Every state in which a kill, a power cut or a Drive can leave a job folder, taken from what reached the kernel.

A pass-through FUSE file system logs what the real store did (`recorder.py`); all states are then rebuilt and
opened by the real reader. Where nothing can be mounted (a container without ``/dev/fuse``) the log is that of
the store's own file operations instead, and the test says so.
"""

import warnings

import pytest
from disk import Image, Recording, distinct_states, drive_states
from jobfolder import assert_exact
from recorder import acknowledge, recorded, why_not
from test_crashes import judge, scenario

from survivor.checkpoint.lease import Lease
from survivor.checkpoint.repository import Repository
from survivor.store import FolderStore


def whole_life(store, tell, commits):
    """Saves and prunes of two sessions, then a third that takes over from a fourth."""
    scenario(store, tell, commits=commits)
    Lease.acquire(store, "job", session=3).refresh()
    held = Lease.acquire(store, "job", session=4, take_over=True)
    held.refresh()
    held.release()


def logged(ram, commits):
    """The log of a life, and the folder that its names lie in."""
    why = why_not()
    if not why:
        with recorded(ram) as (mount, log):
            whole_life(FolderStore(mount / "store"), lambda step: acknowledge(mount, step), commits)
        return log, "/store"
    warnings.warn(f"no FUSE file system here ({why}): the store's own operations are recorded", stacklevel=1)
    do = Recording()
    whole_life(FolderStore(ram / "store", do), lambda step: do.note("ack", step), commits)
    return do.log, f"{ram}/store"


@pytest.fixture(scope="module")
def short_life(tmp_path_factory):
    return logged(tmp_path_factory.mktemp("life"), commits=3)


def test_the_recorder_sees_what_is_on_the_disk(tmp_path):
    """Otherwise no state that is made from its log would mean anything."""
    if why_not():
        pytest.skip(why_not())
    with recorded(tmp_path) as (mount, log):
        whole_life(FolderStore(mount / "store"), lambda step: acknowledge(mount, step), 3)
    *_, (state, acknowledged, _) = distinct_states(log, "/store", 2)
    there = (tmp_path / "source/store").rglob("*")
    assert state == {str(p.relative_to(tmp_path / "source/store")): p.read_bytes() for p in there if p.is_file()}
    assert acknowledged == 6
    kinds = {event[0] for event in log}
    assert kinds >= {"create", "write", "sync", "syncdir", "rename", "link", "unlink", "mkdir", "ack"}


def check(log, root, torn):
    count = {"kill": 0, "power cut": 0}
    for state, acknowledged, cause in distinct_states(log, root, torn):
        count[cause] += 1
        judge(Image(state), acknowledged)
    return count


def check_drive(log, root, samples):
    """Of the checkpoints whose files are all whole the newest is used, whatever else is missing or old."""
    count = 0
    needs = None
    for state, ever in drive_states(log, root, seed=1, samples=samples):
        count += 1
        if needs is None or needs.keys() != {name for name in ever if "/checkpoints/" in name}:
            reader = Repository(Image(ever), "job")
            needs = {
                f"job/checkpoints/{info.name}.json": {
                    f"job/packs/{ref.pack.stamp}.safetensors" for ref in reader.open_checkpoint(info.name).refs.values()
                }
                for info in reader.list()
            }
        whole = [name for name, packs in needs.items() if all(state.get(f) == ever[f] for f in (name, *packs))]
        found = Repository(Image(state), "job").newest()
        assert (found.info.name if found else None) == max((n[16:-5] for n in whole), default=None)
        if found:
            assert_exact(found)
    return count


def test_kills_and_power_cuts_lose_nothing_that_was_acknowledged(short_life):
    count = check(*short_life, torn=6)
    assert count["kill"] > 300 and count["power cut"] > 300


def test_a_drive_that_lags_is_never_read_wrong(short_life):
    assert check_drive(*short_life, samples=60) > 700


@pytest.mark.slow
def test_at_least_five_thousand_states_of_a_longer_life(ram, capsys):
    log, root = logged(ram, commits=8)
    count = check(log, root, torn=60)
    drive = check_drive(log, root, samples=300)
    with capsys.disabled():
        print(f"\n{len(log)} operations; states: {count['kill']} kills, {count['power cut']} power cuts, {drive} drive")
    assert count["kill"] > 2000 and count["power cut"] > 5000 and drive > 5000
