"""Makes a process believe that it runs on another machine, whose clock may be wrong. The engine is the fake one.

``MACHINE`` is the machine's name; ``MACHINE_CLOCK`` how many seconds its clock is ahead.
"""

import os
import runpy
import sys
import time
from pathlib import Path

runpy.run_path(str(Path(__file__).parent.parent.parent / "supervisor" / "fakes" / "sitecustomize.py"))
if _ahead_s := float(os.environ.get("MACHINE_CLOCK", "0")):
    _time = time.time
    time.time = lambda: _time() + _ahead_s
if "MACHINE" in os.environ and Path(sys.executable).name.startswith("python"):
    import socket

    import survivor.checkpoint.lease as lease
    import survivor.supervisor.orphans as orphans

    _name = orphans._name
    orphans._name = lambda store, job: _name(f"{os.environ['MACHINE']} {store}", job)
    socket.gethostname = lambda: os.environ["MACHINE"]
    lease._boot = lambda: f"boot of {os.environ['MACHINE']}"
