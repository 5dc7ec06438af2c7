"""A Google Drive as machines see it: each works on a view of its own, and files travel between them when they like.

A view is an ordinary folder. `upload` brings its changes into the cloud: in any order, late, cut short at the
end, or not at all. `download` shows the cloud in a view: a file may be hidden for the moment. Where two views have
made one name, the cloud keeps both, the later one as ``name (1)``, as Drive does. Where FUSE is usable `a_drive` gives
a live file system in its place (`drivefs`), which does all that by itself while a job runs, and fails now and then.
"""

import contextlib
import os
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "checkpoint"))

import recorder
from drivefs import LiveDrive


@contextlib.contextmanager
def a_drive(folder, seed=0, **settings):
    """A live Drive where one can be mounted, folders in its place elsewhere."""
    if recorder.why_not():
        yield Drive(folder, seed)
        return
    with LiveDrive(folder, seed, **settings) as drive:
        yield drive


class Drive:
    """The cloud and the machines' views of it.

    Args:
        folder: gets a folder for each view.
        seed: of all that is left to chance.
    """

    def __init__(self, folder, seed=0):
        self.folder = Path(folder)
        self.chance = random.Random(seed)
        self.cloud = {}
        self._known = {}  # view -> what it had in common with the cloud

    def view(self, name):
        """The folder in which machine ``name`` sees the Drive."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        self._known.setdefault(name, {})
        return place

    def upload(self, name, *, lost=0.0, torn=0.0):
        """Bring what a view has written into the cloud; each file is lost or torn with these probabilities."""
        files = self._read(self.view(name))
        changed = [path for path, data in files.items() if self._known[name].get(path) != data]
        self.chance.shuffle(changed)
        for path in changed:
            fate = self.chance.random()
            if fate < lost:
                continue
            data = files[path]
            if fate < lost + torn:
                data = data[: self.chance.randrange(len(data) + 1)]
            if path in self.cloud and path not in self._known[name] and self.cloud[path] != data:
                stem, dot, ending = path.rpartition(".")
                self.cloud[f"{stem} (1){dot}{ending}"] = data
            else:
                self.cloud[path] = data
            self._known[name][path] = files[path]
        for path in set(self._known[name]) - set(files):
            self.cloud.pop(path, None)
            del self._known[name][path]

    def download(self, name, *, hidden=0.0):
        """Show the cloud in a view; each file is hidden for the moment with this probability."""
        place = self.view(name)
        shutil.rmtree(place)
        place.mkdir()
        self._known[name] = {}
        for path, data in self.cloud.items():
            if self.chance.random() < hidden:
                continue
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            self._known[name][path] = data

    @staticmethod
    def _read(place):
        names = (os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names)
        return {os.path.relpath(name, place): Path(name).read_bytes() for name in names if not name.endswith(".part")}
