"""Talking with a process that does not listen."""

import sys
import time

from survivor.channel import Close, Finished
from survivor.supervisor import peer
from survivor.supervisor.peer import Peer


def test_a_process_that_takes_no_message_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(peer, "_SEND_S", 0.1)
    with Peer([sys.executable, "-c", "import time; time.sleep(600)"]) as deaf:
        began = time.monotonic()
        deaf.send(Close(outcome="saved", reason="x", exit_code=75, output={"text": "x" * (8 << 20)}))
        deaf.send(Finished())
        assert time.monotonic() - began < 60
        assert deaf.receive() == []
