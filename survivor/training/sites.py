"""Sites: the loops of the user's source that survivor watches, known by name across runs and small edits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Site:
    """One loop statement.

    Attributes:
        key: module, qualified name of the function and ordinal within it: the loop's address in a checkpoint.
        filename: path of the source file.
        first_line: line of the loop's head; ``last_line`` that of its body's last statement.
        function: file, first line (0 for a module) and name of the code that it stands in.
        label: what the loop counts, in the user's words: the first name of its target, or ``while``.
        hinted: the source says that it trains (a ``.backward()`` or ``.step()`` in its reach, by name).
        in_generator: it stands in a generator function.
        guarded: it tells when an exception leaves it.
        trains: a backward pass or an optimizer step was seen inside it.
        outer: a training loop was seen inside it.
        entries: how often it was entered in this process.
        body_s: how long an iteration takes, in seconds, smoothed.
        level_at: when a level was last taken at its head (monotonic, seconds).
        retry_at: before this time (monotonic, seconds) its head is not tried again as a safe point.
        tried_at: how many backward passes had run when its head was tried in vain.
        cold: entered often and never seen training: no longer watched.
    """

    key: str
    filename: str
    first_line: int
    last_line: int
    function: tuple[str, int, str]
    label: str
    kind: str
    hinted: bool = False
    in_generator: bool = False
    guarded: bool = False
    trains: bool = False
    outer: bool = False
    entries: int = 0
    cold: bool = False
    body_s: float = 0.0
    level_at: float = float("-inf")
    retry_at: float = 0.0
    tried_at: int = -1

    def __str__(self) -> str:
        """Where the loop is, for messages."""
        return f"{self.filename}:{self.first_line} ({self.kind} {self.label})"
