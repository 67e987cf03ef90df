"""What an exec gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

Language: TypeAlias = Literal["python", "bash"]
EventType: TypeAlias = Literal["stdout", "stderr", "exit"]
PtyMessage: TypeAlias = dict[str, Any]
"""One line of a terminal's stream: its `type` is `pty_ready`, `pty_data`, `pty_exit` or `pty_error`."""


@dataclass
class _Event:
    """One step of a running exec, as the server streams it.

    `Event("stdout", "a line", 0, 1700000000000)` makes a `StdoutEvent`, and so on. To a type checker `Event` is the
    union of the three: after `if event.type == "exit"` it knows that `event.data` is an int.

    Attributes:
        type: `"stdout"`, `"stderr"` or `"exit"`.
        data: One line of text without its newline, or, for `"exit"`, the exit code.
        seq: Counts the events of one exec from 0.
        ts: When the server saw it, in milliseconds since the epoch.

    Raises:
        ValueError: If there is no such type.
    """

    type: EventType
    data: str | int
    seq: int
    ts: int

    # The parameters are those of the fields, for tools that inspect signatures.
    def __new__(
        cls,
        type: EventType | None = None,  # noqa: A002
        data: str | int = "",
        seq: int = 0,
        ts: int = 0,
    ) -> _Event:
        # Without arguments: copies and pickles are made so.
        if type is None or cls is not _Event:
            return super().__new__(cls)
        if type not in _CLASSES:
            raise ValueError(f"the type of an event is one of {', '.join(_CLASSES)}, not {type!r}")
        return super().__new__(_CLASSES[type])

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Event:
        """The event of a line of the stream. Raises KeyError if a field is missing."""
        return event(obj)


@dataclass
class StdoutEvent(_Event):
    """One line on standard output."""

    type: Literal["stdout"]
    data: str


@dataclass
class StderrEvent(_Event):
    """One line on standard error."""

    type: Literal["stderr"]
    data: str


@dataclass
class ExitEvent(_Event):
    """The last event of an exec: the exit code."""

    type: Literal["exit"]
    data: int


_CLASSES: dict[str, type[_Event]] = {"stdout": StdoutEvent, "stderr": StderrEvent, "exit": ExitEvent}

if TYPE_CHECKING:
    Event: TypeAlias = StdoutEvent | StderrEvent | ExitEvent
else:
    _Event.__name__ = _Event.__qualname__ = "Event"
    Event = _Event


def event(fields: Mapping[str, Any]) -> Event:
    """The event of a line of the stream. Raises KeyError if a field is missing, ValueError if there is no such type."""
    made: Event = _Event(fields["type"], fields["data"], fields["seq"], fields["ts"])  # type: ignore[assignment]
    return made


@dataclass
class ExecResult:
    """What one exec printed, and how it ended.

    Lines are joined with `"\\n"`: `print(1); print(2)` gives `"1\\n2"`, without a last newline.
    """

    stdout: str
    stderr: str
    exit_code: int

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0


@dataclass(frozen=True)
class Forked:
    """What the server answers to a fork.

    Attributes:
        ids: The children's.
        threads_left_behind: How many threads exist only in the forked sandbox.
        processes_left_behind: How many processes that it has started do.
        replay_differences: If the server made the children by running the code again: the numbers of the Python
            calls that ended differently than before, such as `"2, 5"`.
    """

    ids: list[str]
    threads_left_behind: int = 0
    processes_left_behind: int = 0
    replay_differences: str = ""


@dataclass
class PtySessionInfo:
    """A terminal whose program runs.

    Attributes:
        pty_id: What to attach to.
        cmd_label: The command, as text.
        created_at_ms: When it was made, in milliseconds since the epoch.
        exit_code: None as long as its program runs.
    """

    pty_id: str
    cmd_label: str
    created_at_ms: int
    exit_code: int | None = None
