"""Asks, by a process of its own, whether a store answers at all, before the supervisor itself goes near it.

Things that don't work:

- A time limit on the call. In a dead network mount a process hangs in the kernel, where no signal reaches it.
- A thread for the call. The supervisor could then tell the user, but not end: the thread stays in the kernel.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

from survivor.errors import StoreError
from survivor.store import absolute
from survivor.supervisor.signals import SignalInbox

#: A mounted Drive may take a while for its first listing.
PATIENCE_S = 60.0
_SIGNALLED_S = 15.0
_KILLED_S = 0.2
_LOOK = """\
import os, sys
for path in sys.argv[1:]:
    try:
        os.listdir(path)
    except OSError:
        pass
"""


def ask(store: str, job: str, inbox: SignalInbox, patience_s: float | None = None) -> None:
    """Return when a folder store has answered, be it with an error; a URL's package has time limits of its own.

    Raises:
        StoreError: it has not answered in ``patience_s``, or the user wanted no more before it did.
    """
    if "://" in store:
        return
    root, patience_s = absolute(store), PATIENCE_S if patience_s is None else patience_s
    folders = [root, os.path.join(root, job), os.path.join(root, job, "leases")]
    command = [sys.executable, "-I", "-S", "-c", _LOOK, *folders]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    pidfd = os.pidfd_open(process.pid)
    try:
        ready = select.select([pidfd, inbox.wakeup.fileno()], [], [], patience_s)[0]
        if ready and pidfd not in ready:  # a store that is well answers before who wants to end minds
            ready += select.select([pidfd], [], [], min(patience_s, _SIGNALLED_S))[0]
        if pidfd not in ready:
            waited = "a signal came" if ready else f"{patience_s:.0f} s went by"
            raise StoreError(
                f"the store in {root} does not answer: {waited} while it was to list its folder",
                advice=f"see whether \"ls {root}\" hangs as well: a mount that is dead has to be mounted again; "
                "or choose another place with --store",
            )
    finally:
        process.kill()
        # one that hangs in the mount ends only when that answers; nobody waits for it then
        if select.select([pidfd], [], [], _KILLED_S)[0]:
            process.wait()
        os.close(pidfd)
