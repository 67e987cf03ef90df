"""How the API's requests and answers are written: JSON, lines. It sends nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import httpx

from podflare.errors import InvalidArgumentError, connection_error
from podflare.types import Event, ExecResult, Forked, PtyMessage, event

T = TypeVar("T")


def given(**settings: object) -> dict[str, object]:
    """Those that are not None: the others are left to the server."""
    return {name: value for name, value in settings.items() if value is not None}


def written(body: Mapping[str, object]) -> bytes:
    """The body of a request, in ASCII.

    Raises:
        InvalidArgumentError: If a value is nothing that JSON has. It names the field.
    """
    try:
        return json.dumps(body).encode()
    except (TypeError, ValueError) as error:
        for name, value in body.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError):
                raise InvalidArgumentError(f"{name} cannot be sent: {error}; got {value!r:.100}") from None
        raise


def answer(response: httpx.Response, required: str) -> dict[str, Any]:
    """The object that the server has answered; it must have this field."""
    try:
        fields: dict[str, Any] = response.json()
        fields[required]
    except (ValueError, KeyError, TypeError) as error:
        cause = httpx.DecodingError(f"the answer has no {required!r}; is this a Podflare server?")
        raise connection_error(cause, response.request) from error
    return fields


def answered_list(response: httpx.Response, required: str) -> list[dict[str, Any]]:
    """The list of objects that the server has answered; each must have this field."""
    try:
        found: list[dict[str, Any]] = response.json()
        for fields in found:
            fields[required]
    except (ValueError, KeyError, TypeError) as error:
        cause = httpx.DecodingError(f"the answer is no list of {required!r}; is this a Podflare server?")
        raise connection_error(cause, response.request) from error
    return found


def forked(response: httpx.Response) -> Forked:
    """What the server has answered to a fork."""
    told = response.headers
    return Forked(
        [str(child) for child in answer(response, "children")["children"]],
        threads_left_behind=int(told.get("podflare-threads-left-behind", 0)),
        processes_left_behind=int(told.get("podflare-processes-left-behind", 0)),
        replay_differences=told.get("podflare-replay-differences", ""),
    )


class LineReader(Generic[T]):
    """Reads the lines of a stream from the pieces in which they arrive.

    Args:
        request: What is answered, for errors.
        meaning: Makes something of the object on a line.
    """

    def __init__(self, request: httpx.Request, meaning: Callable[[Mapping[str, Any]], T]) -> None:
        self._request = request
        self._meaning = meaning
        # The pieces of a long line are joined once: a download is one line of megabytes.
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[T]:
        """What the lines that end in this chunk mean."""
        # httpx's iter_lines also splits at U+2028 and others, which may stand in the middle of an event.
        head, *rest = chunk.split(b"\n")
        self._pieces.append(head)
        lines = []
        for piece in rest:
            lines.append(b"".join(self._pieces))
            self._pieces = [piece]
        return [self._read(line) for line in lines if line]

    def end(self) -> list[T]:
        """What the last line means, if no newline ended it."""
        return self.feed(b"\n")

    def _read(self, line: bytes) -> T:
        try:
            return self._meaning(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            message = f"the stream holds a line that is no event: {line[:200]!r}"
            raise httpx.DecodingError(message, request=self._request) from error


def event_of(fields: Mapping[str, Any]) -> Event | None:
    """The event of an exec that a line tells, or None if this version does not know its type."""
    return event(fields) if fields["type"] in ("stdout", "stderr", "exit") else None


def pty_message_of(fields: Mapping[str, Any]) -> PtyMessage:
    """What a line tells of a terminal."""
    fields["type"]
    return dict(fields)


class Printed:
    """What the events of an exec have printed so far."""

    def __init__(self) -> None:
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._exit_code = 0

    def add(self, event: Event) -> None:
        if event.type == "stdout":
            self._stdout.append(event.data)
        elif event.type == "stderr":
            self._stderr.append(event.data)
        else:
            self._exit_code = int(event.data)

    def result(self) -> ExecResult:
        return ExecResult("\n".join(self._stdout), "\n".join(self._stderr), self._exit_code)


def result_of(events: Iterable[Event]) -> ExecResult:
    """What all the events of an exec have printed, and its exit code."""
    printed = Printed()
    for one in events:
        printed.add(one)
    return printed.result()
