"""A training process and its loader workers outlive the signals that mean "save and stop".

The supervisor hears those signals, asks for a checkpoint and ends its child afterwards. A child
that dies of the same signal, because it was sent to a whole process group, a container or a SLURM
step, has nothing left to save with; a dead loader worker is a ``RuntimeError`` in the training loop.

Things that don't work:

- ``SIG_IGN``: survives ``exec``, so ``Popen.terminate()`` on a process that the script started, and
  ``Pool.terminate()``, which ``with Pool():`` calls, would wait for ever; and ``signal.getsignal``
  tells the script.
- A Python handler: the script sees it in ``signal.getsignal``, and so do the libraries that take over
  only from a default handler.
- A blocked mask: inherited by everything that the script starts, and ``multiprocessing`` unblocks
  SIGINT and SIGTERM again whenever it starts its resource tracker.

Solution: a handler that does nothing, set below Python's own table. ``exec`` resets it, ``fork``
keeps it, the script's view stays the default one, and a handler that the script sets replaces it.
A forked process gets the default for SIGTERM back, because that is how ``multiprocessing`` ends its
processes; a loader worker, which must not die of a stranger's SIGTERM, says so by ``shield_worker``.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

#: Signals on which a session is saved and ended.
STOP_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)

#: Asks a child for the stack of each of its threads; a number that nobody uses.
STACKS_SIGNAL = int(signal.SIGRTMAX) - 7

_SIG_DFL = 0


def shield_process() -> None:
    """Let the stop signals do nothing to this process, without the script noticing."""
    _set_below_python(STOP_SIGNALS, _do_nothing())
    # as it ends Python puts the default back for a signal that it has a handler for, and no other than SIGINT has one;
    # what is registered before all else is called after all else
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    guard = _ForkGuard()
    os.register_at_fork(before=guard.before, after_in_parent=guard.restore, after_in_child=guard.in_child)


def shield_worker(_worker_id: int = 0) -> None:
    """Let the stop signals do nothing to a loader worker; to be called in it, after torch has set it up.

    torch's own SIGTERM handler, set when a worker starts, dies of a stranger's signal. The loader must
    then end its workers by other means: see ``end_by_kill``. (Telling the senders apart by
    ``sigwaitinfo`` does not work: in a spawned worker the threads of a BLAS take the signal.)
    """
    _set_below_python(STOP_SIGNALS, _do_nothing())


def end_by_kill(workers: Iterable[Any], forget: Callable[[], None] = lambda: None) -> None:
    """Let ``terminate()`` of these worker processes, ``multiprocessing``'s own included, send SIGKILL.

    ``forget`` is called before: who watches the workers must not take that for an accident.

    To be called in the process that made them, once they are started. A worker has nothing to clean
    up: its queues are its loader's, and torch's handler for SIGTERM is ``_exit`` too.
    """
    for worker in workers:
        worker._popen.terminate = functools.partial(_end, worker._popen.kill, forget)


def _end(kill: Callable[[], None], forget: Callable[[], None]) -> None:
    forget()
    kill()


def show_stacks_on_demand() -> None:
    """Let ``STACKS_SIGNAL`` print the stack of every thread to stderr, in this process and its forks."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):
            faulthandler.register(STACKS_SIGNAL, file=sys.__stderr__, all_threads=True)


def unblock(signals: Iterable[int]) -> None:
    """Take signals that were blocked while this process had no shield off the mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(signals))


def _set_below_python(signals: Iterable[int], handler: int) -> None:
    for sig in signals:
        # ignored from the start (nohup, a background job of a plain shell): stays so
        if signal.getsignal(sig) is not signal.SIG_IGN:
            _libc_signal()(sig, handler)


class _ForkGuard:
    """Gives a forked process the default for SIGTERM back.

    The signal is blocked while the fork is on its way: ``process.start(); process.terminate()`` would
    otherwise hit the handler that does nothing, and a ``join()`` after it would wait for ever.
    """

    def __init__(self) -> None:
        self._mask: set[int] = set()

    def before(self) -> None:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def restore(self) -> None:
        if signal.SIGTERM not in self._mask:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def in_child(self) -> None:
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            _libc_signal()(signal.SIGTERM, _SIG_DFL)
        self.restore()


def _libc_signal() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None).signal  # glibc and musl: restarts interrupted system calls
    function.argtypes = (ctypes.c_int, ctypes.c_void_p)
    function.restype = ctypes.c_void_p
    return function


def _do_nothing() -> int:
    """The address of ``abs``: takes an int, touches no memory, and is in every C library."""
    address = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value
    assert address is not None
    return address
