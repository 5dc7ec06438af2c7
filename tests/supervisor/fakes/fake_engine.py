"""An engine without torch: the program calls ``steps(n)`` itself, and its state is how far that came."""

import builtins
import os
import time
from dataclasses import dataclass

from survivor import machine
from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import NotResumableError

if "FAKE_FREE_BYTES" in os.environ:
    machine.memory = lambda: machine.Memory(int(os.environ["FAKE_FREE_BYTES"]), 0)


@dataclass
class Settings:
    every_s: float
    overhead: float
    allow_partial: bool
    ignore: tuple
    accept_changes: bool
    keep_best: tuple = ()


class Engine:
    def __init__(self, link, settings, user_root):
        self.link, self.settings, self.user_root = link, settings, user_root
        self.stop = ""
        self.first = 0

    def begin(self, checkpoint):
        self.first = checkpoint.document["i"] if checkpoint else 0
        builtins.steps = self.steps
        builtins.refuse = lambda: self.link.refuse(NotResumableError("the thing on line 3", advice="do it not"))
        # snapshots may come oftener than checkpoints
        self.pause_s = float(os.environ.get("FAKE_SNAPSHOT_S", self.settings.every_s))
        self.next_save = time.monotonic() + self.pause_s
        if checkpoint is None:
            self.save(0, final=False)  # how the program started

    def compile(self, source, filename, module_name):
        return compile(source, filename, "exec", dont_inherit=True)

    def instrument_function(self, function):
        return function

    def install_import_hook(self):
        pass

    def finish(self):
        pass

    def request_stop(self, reason):
        self.stop = reason

    def steps(self, n):
        for i in range(self.first, n):
            self.link.beat(time.monotonic())
            if self.stop:
                self.save(i, final=True)
                self.link.leave()
            if time.monotonic() >= self.next_save and i > self.first:
                self.save(i, final=False)
                self.next_save = time.monotonic() + self.pause_s
            yield i

    def save(self, i, final):
        data = memoryview(bytearray(i.to_bytes(4, "little")))
        blob = Blob(name="x", dtype="U8", shape=(4,), data=data)
        document = {"i": i, "pid": os.getpid()}
        self.link.save(Snapshot(document=document, blobs={"x": blob}, step=i, position=f"step {i}"), final=final)
