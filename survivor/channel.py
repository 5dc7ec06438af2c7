"""Messages of the parent with child and writer: frozen dataclasses, one JSON object a line, over a socket pair.

The message classes below are the whole vocabulary. A message's ``type`` on the wire is its class
name. Both ends are the same release started by one command, so there is no version to negotiate;
an unknown type is an error and not something to skip.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

TargetKind = Literal["script", "module", "function"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """Base of everything that travels on the channel."""


# ----------------------------------------------------------------------------- parent to child


@dataclass(frozen=True, kw_only=True)
class Start(Message):
    """The first message: what to run and where its checkpoints live.

    Attributes:
        kind: what ``target`` names: a path, a dotted module, or a function's qualified name.
        target: as the user typed it.
        args: what the script finds in ``sys.argv[1:]``.
        store: root of the store.
        job: name of the job folder in it.
        session: number of this session, from 1.
        token: the lease token that commits carry.
        origin: fingerprint of the environment, kept with every checkpoint.
        every_s: seconds between checkpoints; 0 saves at every safe point.
        overhead: share of run time that snapshots may cost (0.01 is 1%).
        grace_s: seconds that the child may train on without its supervisor before it ends itself.
        allow_partial: go on although some objects can't be carried.
        accept_changes: go on although the script or its arguments changed.
        ignore: names of variables that are not carried.
        keep: so many of the newest checkpoints are kept.
        keep_hourly: the newest of each of so many hours too.
        keep_best: and for each ``min:NAME`` or ``max:NAME`` the one with the best metric.
        unblock: signals that the parent blocked for the time of the child's start-up.
        hide_hash_seed: take ``PYTHONHASHSEED`` out of ``os.environ``, since the user had set none.
        arena: file descriptors of the memory that snapshots go into; none: the child commits by itself.
        pulse_fd: memory that shows the supervisor a sign of life at each head of a loop, -1 for none.
        from_arena: continue from the newest snapshot in there, not from the store.
        function_fd: where a pickled function and its arguments are read, -1 for none.
        result_fd: where the pickled result is written, -1 for none.
        environment: variables to set before torch is loaded; "" unsets one.
        deterministic: let torch use only deterministic algorithms.
        on_drift: what to do where torch finds another environment: ``warn``, ``error`` or ``ignore``.
        carry: patterns of files that the script writes and that are carried whatever their size.
        no_carry: carry no files.
        out_fd, err_fd: what becomes the child's standard output and error; -1 to keep the supervisor's own.
        output_fd: shared memory for the transcript, -1 for none.
        shown: file that knows how much of the output the terminal has shown before; "" where there is no terminal.
        user_sys_path: ``sys.path`` of a caller whose function is run.
        root: folder of the user's own modules; "" for the script's, or for a module the working folder.
        main_file: ``__file__`` of that caller's ``__main__``, "" in a notebook.
    """

    kind: TargetKind
    target: str
    args: tuple[str, ...]
    store: str
    job: str
    session: int
    token: int
    origin: dict[str, str] = field(default_factory=dict)
    every_s: float = 30.0
    overhead: float = 0.01
    grace_s: float = 30.0
    allow_partial: bool = False
    accept_changes: bool = False
    ignore: tuple[str, ...] = ()
    keep: int = 3
    keep_hourly: int = 24
    keep_best: tuple[str, ...] = ()
    unblock: tuple[int, ...] = ()
    hide_hash_seed: bool = False
    arena: tuple[int, ...] = ()
    pulse_fd: int = -1
    from_arena: bool = False
    function_fd: int = -1
    result_fd: int = -1
    environment: dict[str, str] = field(default_factory=dict)
    deterministic: bool = False
    on_drift: str = "warn"
    carry: tuple[str, ...] = ()
    no_carry: bool = False
    out_fd: int = -1
    err_fd: int = -1
    output_fd: int = -1
    shown: str = ""
    user_sys_path: tuple[str, ...] = ()
    main_file: str = ""
    root: str = ""


@dataclass(frozen=True, kw_only=True)
class Stop(Message):
    """Save at the next safe point and end; the parent ends the child itself after ``deadline_s``."""

    reason: str
    deadline_s: float


@dataclass(frozen=True, kw_only=True)
class Durable(Message):
    """A snapshot that the child waits for is a checkpoint now, or the store refused it for ``problem``."""

    seq: int
    problem: str = ""


# ----------------------------------------------------------------------------- child to parent


@dataclass(frozen=True, kw_only=True)
class Ready(Message):
    """The script's first line is about to run; ``checkpoint`` is where it continues, "" for a new start."""

    pid: int
    checkpoint: str = ""
    step: int = 0
    position: str = ""
    saved_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Snapped(Message):
    """A snapshot lies in the arena.

    Attributes:
        seq: its number there.
        step, position, size_bytes: of the snapshot.
        seconds: what copying it took.
        final: the child ends now, because it was asked to.
        wait: the child waits until it is durable.
    """

    seq: int
    step: int
    position: str
    size_bytes: int
    seconds: float
    final: bool = False
    wait: bool = False


@dataclass(frozen=True, kw_only=True)
class Saved(Message):
    """A checkpoint that the child wrote by itself, in ``seconds``; ``size_bytes`` is the size of the state."""

    checkpoint: str
    step: int
    position: str
    size_bytes: int
    seconds: float
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class SaveFailed(Message):
    """The store took no checkpoint; training goes on."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Stopped(Message):
    """The child ends now because it was asked to."""


@dataclass(frozen=True, kw_only=True)
class Finished(Message):
    """The script ended as it should; what is left are its exit handlers."""


@dataclass(frozen=True, kw_only=True)
class Failed(Message):
    """The script ended by an exception (its traceback is out already) or by ``sys.exit(code)``."""

    error_type: str
    message: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Refused(Message):
    """survivor itself ends the run: an error of ours, in words for the user."""

    error_type: str
    message: str
    advice: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Note(Message):
    """One line for the user."""

    text: str
    warning: bool = False


# ----------------------------------------------------------------------------- parent to writer


@dataclass(frozen=True, kw_only=True)
class Write(Message):
    """The first message to a writer: whose checkpoints it writes, and where.

    Attributes:
        store, job, session, token, origin, keep, keep_hourly, keep_best: as in `Start`.
        holder: fields of the lease that it keeps alive; none for a spool.
        arena: file descriptors of the slots.
        output_fd: the shared memory that the transcript lies in, -1 for none.
        grace_s: seconds that an orphaned child may go on.
    """

    store: str
    job: str
    session: int
    token: int
    origin: dict[str, str] = field(default_factory=dict)
    keep: int = 3
    keep_hourly: int = 24
    keep_best: tuple[str, ...] = ()
    holder: dict[str, Any] = field(default_factory=dict)
    arena: tuple[int, ...] = ()
    output_fd: int = -1
    grace_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Guard(Message):
    """A child has been started: if the supervisor dies, see to it that nothing of it is left in the end."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class Persist(Message):
    """Make the newest snapshot a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Close(Message):
    """The session is over: record how, and give the lease back; ``output`` is what the session printed last."""

    outcome: str
    reason: str
    exit_code: int
    output: dict[str, Any] = field(default_factory=dict)


# ----------------------------------------------------------------------------- writer to parent


@dataclass(frozen=True, kw_only=True)
class Persisted(Message):
    """Snapshot ``seq`` is a checkpoint; ``seconds`` is what it took to write it.

    ``free_bytes`` is the room that the store has left, -1 where it can't tell.
    """

    seq: int
    checkpoint: str
    step: int
    position: str
    size_bytes: int
    seconds: float
    free_bytes: int = -1


@dataclass(frozen=True, kw_only=True)
class PersistFailed(Message):
    """The store took no checkpoint; 0 is the ``seq`` of no snapshot at all."""

    seq: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Lost(Message):
    """Another session has taken the job over: nothing more may be written."""

    reason: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Closed(Message):
    """The end of the session is recorded, or ``problem`` says why it is not."""

    problem: str = ""


_CLASSES: dict[str, type[Message]] = {
    cls.__name__: cls
    for cls in (
        *(Start, Stop, Durable, Ready, Snapped, Saved, SaveFailed, Stopped, Finished, Failed, Refused, Note),
        *(Write, Guard, Persist, Close, Persisted, PersistFailed, Lost, Closed),
    )
}


def encode(message: Message) -> bytes:
    """One line of JSON, its newline included."""
    fields = dataclasses.asdict(message)
    return json.dumps({"type": type(message).__name__, **fields}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line.

    Raises:
        ValueError: not a message of this channel.
    """
    fields: dict[str, Any] = json.loads(line)
    name = fields.pop("type", None)
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"unknown message on the channel: {name!r}")
    try:
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()})
    except TypeError as error:
        raise ValueError(f"malformed {name} on the channel: {error}") from error


class Decoder:
    """Cuts a byte stream into messages; a line that is not complete yet waits for its rest."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes, in order."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [decode(line) for line in lines]
