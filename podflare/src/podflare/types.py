"""What an exec gives back."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["python", "bash"]


@dataclass
class Event:
    """One step of a running exec, as the server streams it.

    Attributes:
        type: `"stdout"`, `"stderr"` or `"exit"`.
        data: One line of text without its newline, or, for `"exit"`, the exit code.
        seq: Counts the events of one exec from 0.
        ts: When the server saw it, in milliseconds since the epoch.
    """

    type: str
    data: str | int
    seq: int
    ts: int


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
            calls that ended otherwise than before, such as `"2, 5"`.
    """

    ids: list[str]
    threads_left_behind: int = 0
    processes_left_behind: int = 0
    replay_differences: str = ""
