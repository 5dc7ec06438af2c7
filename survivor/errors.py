"""Every error that survivor raises on purpose, and the exit code that each one owns.

::

    SurvivorError                 1
    ├── UsageError                2   the command line or an argument is wrong; nothing was touched
    ├── JobError                  3   this command and the job in the folder do not go together
    │   ├── JobChangedError           other arguments, or an edited script whose loops are gone
    │   └── JobRunningError           another session holds the lease
    ├── StoreError                4   the store can't be read or written
    │   ├── FormatError               a file of the store is not what it says it is
    │   └── NewerFormatError          written by a newer survivor
    ├── NotResumableError         5   the promise can't be kept: said before training
    ├── DivergedError             6   the re-run did not come back to where the checkpoint was taken
    └── CrashLoopError            7   the training process ended again and again without progress

Exit codes that belong to no error: 0 finished, 75 (``EX_TEMPFAIL``) saved, run the same command again.
"""

from typing import ClassVar

EXIT_FINISHED = 0
EXIT_SCRIPT_FAILED = 1
EXIT_SAVED = 75


class SurvivorError(Exception):
    """Base class: ``str(error)`` says what happened and where, ``advice`` the next thing to type."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback through survivor."""
        return [f"survivor: error: {self}", *([f"survivor: {self.advice}"] if self.advice else [])]


class UsageError(SurvivorError):
    """The command line or an argument is wrong; nothing was touched."""

    exit_code = 2


class JobError(SurvivorError):
    """This command and the job in the folder do not go together."""

    exit_code = 3


class JobChangedError(JobError):
    """The job was started with other arguments, or its script has lost the loop it stopped in."""


class JobRunningError(JobError):
    """Another session holds the lease of the job."""


class StoreError(SurvivorError):
    """The store can't be read or written."""

    exit_code = 4


class FormatError(StoreError):
    """A file of the store is not what it says it is (torn, changed, hostile)."""


class NewerFormatError(StoreError):
    """The job folder was written by a newer survivor."""


class NotResumableError(SurvivorError):
    """The promise can't be kept for this script; raised before it trains on."""

    exit_code = 5


class DivergedError(SurvivorError):
    """The re-run did not come back to where the checkpoint was taken."""

    exit_code = 6


class CrashLoopError(SurvivorError):
    """The training process ended again and again without progress."""

    exit_code = 7
