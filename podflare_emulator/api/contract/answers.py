"""The shapes of the service's answers, under their names in the OpenAPI document."""

from typing import Literal

import msgspec


class Made(msgspec.Struct):
    """A sandbox that is ready. `region` and `endpoint`: where the client must send further calls, if elsewhere."""

    id: str
    state: Literal["ready"]
    region: str | msgspec.UnsetType = msgspec.UNSET
    endpoint: str | msgspec.UnsetType = msgspec.UNSET


class Forked(msgspec.Struct):
    """Ids of the children, all of them ready."""

    children: list[str]


class Event(msgspec.Struct):
    """One line of an exec's stream. The last one is `exit`, with the exit code as its data; `ts` in ms."""

    type: Literal["stdout", "stderr", "exit"]
    data: str | int
    seq: int
    ts: int


class TerminalEvent(msgspec.Struct):
    """One line of a terminal's stream: `pty_ready` (except on attach), `pty_data`, and `pty_exit` at the end."""

    type: Literal["pty_ready", "pty_data", "pty_exit", "pty_error"]
    session_id: str | msgspec.UnsetType = msgspec.UNSET
    data_b64: str | msgspec.UnsetType = msgspec.UNSET
    data: int | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


class Terminal(msgspec.Struct):
    """A running terminal."""

    pty_id: str
    cmd_label: str
    created_at_ms: int
    exit_code: int | None


class TerminalOutput(msgspec.Struct):
    """`next_seq`: `since_seq` for the next call. `exit_code`: null while the program runs."""

    data_b64: str
    next_seq: int
    exit_code: int | None


class Error(msgspec.Struct):
    """Why a call was refused."""

    error: str
