"""The requests of clients, in order, as part of the journal that a test can query."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.types import Scope

from podflare_emulator.domain.events import next_number
from podflare_emulator.vocabulary.clock import machine_now

_REQUESTS = 2_000  # an emulator may run for days, but a test only asks about its own few
_BODY = 4_096  # bytes; only the size of a longer one is kept

_KEY = "podflare.request"


class Request:
    """One request, finished or running. Times in ms since the epoch.

    `status`: of the answer, None if there was none. `whole`: the whole answer was sent. `made`: the sandbox that a
    create has made.
    """

    __slots__ = (
        "_now",
        "body",
        "ended",
        "error",
        "made",
        "method",
        "number",
        "path",
        "size",
        "started",
        "status",
        "trace",
        "whole",
    )

    def __init__(self, method: str, path: str, trace: str | None, now: Callable[[], int]) -> None:
        self.method = method
        self.path = path
        self.trace = trace
        self.number = next_number()
        self.started = now()
        self._now = now
        self.ended: int | None = None
        self.status: int | None = None
        self.whole = False
        self.size = 0  # of the body, once it has been read
        self.body: bytes = b""
        self.error: str | None = None
        self.made: str | None = None

    def take(self, body: bytes) -> None:
        self.size = len(body)
        if self.size <= _BODY:
            self.body = body

    def end(self) -> None:
        """Nothing more is sent to the client; work still done for it after that does not count."""
        self.ended = self.ended or self._now()

    @property
    def name(self) -> str:
        return _named(self.method, self.path)[0] or f"{self.method} {self.path}"

    @property
    def sandbox(self) -> str | None:
        return _named(self.method, self.path)[1] or self.made

    def described(self) -> dict[str, Any]:
        call, _ = _named(self.method, self.path)
        return {
            "method": self.method,
            "path": self.path,
            "call": call,
            "sandbox": self.sandbox,
            "body": _decoded(self.body),
            "size": self.size,
            "status": self.status,
            "error": self.error,
            "broken": self.ended is not None and not self.whole,
            "started": self.started,
            "ended": self.ended,
            "traceparent": self.trace,
            "number": self.number,
        }


class Requests:
    """The most recent requests, without calls of the control API."""

    def __init__(self, now: Callable[[], int] = machine_now) -> None:
        self.now = now
        self._requests: deque[Request] = deque(maxlen=_REQUESTS)

    def add(self, request: Request) -> None:
        if not request.path.startswith("/_emulator/"):
            self._requests.append(request)

    def described(self) -> list[dict[str, Any]]:
        return [request.described() for request in self._requests]

    def clear(self) -> None:
        self._requests.clear()


def put(scope: Scope, request: Request) -> None:
    """Attaches the request to the scope, where `of` finds it."""
    scope[_KEY] = request


def of(scope: Scope) -> Request:
    request: Request = scope[_KEY]
    return request


def _named(method: str, path: str) -> tuple[str | None, str | None]:
    """The name of the call, and its sandbox. Not from the route, as a request may be refused before routing."""
    match [method, *path.strip("/").split("/")]:
        case ["POST", "v1", "sandboxes"]:
            return "create", None
        case ["DELETE", "v1", "sandboxes", sandbox]:
            return "destroy", sandbox
        case ["DELETE", "v1", "spaces", _]:
            return "destroy_space", None
        case ["GET", "v1", "sandboxes", sandbox, "pty"]:
            return "pty_list", sandbox
        case [_, "v1", "sandboxes", sandbox, *words]:
            return "_".join(words[::2]) or None, sandbox  # every second word is an id
        case [_, "v1", "spaces", _, word] | [_, "v1", "healthz" as word]:
            return word, None
    return None, None


def _decoded(body: bytes) -> Any:
    """The body's JSON value, or its text if it is not JSON; None for no body."""
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
