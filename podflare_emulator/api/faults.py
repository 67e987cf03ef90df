"""Injects a test's faults into calls: the client gets another answer, a late one, part of one, or none."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podflare_emulator.api import requests
from podflare_emulator.api.bodies import again, whole
from podflare_emulator.domain.testing.calls import Asked
from podflare_emulator.domain.testing.death import LastWords
from podflare_emulator.domain.testing.faults import Cut, Death, Faults, Refusal, Reset, Taken
from podflare_emulator.vocabulary.clock import Clock
from podflare_emulator.vocabulary.sandbox_errors import SandboxError

if TYPE_CHECKING:
    from podflare_emulator.api.connections import Connections

Disturb = Callable[[str, ASGIApp], ASGIApp]
"""Wraps a call, given by its name and application, so that a test's faults apply to it."""

_LAST_WORDS = "podflare.last_words"

# The error message for a status, if the test gives none.
_SAID = {401: "invalid api key", 404: "sandbox not found", 500: "agent did not respond"}
_SAID_BY_CREATE = {500: "the pool is exhausted and a cold boot failed"}


class ArrangedRefusal(HTTPException):
    """A test has arranged this answer."""


def last_words(scope: Scope) -> LastWords | None:
    """The death that is arranged for the interpreter that runs this exec, if any."""
    arranged: LastWords | None = scope.get(_LAST_WORDS)
    return arranged


class Disturbed:
    """One call of the API, unchanged unless a fault applies to it."""

    def __init__(
        self, faults: Faults, connections: "Connections", clock: Clock, call: str, app: ASGIApp
    ) -> None:
        self._faults = faults
        self._clock = clock
        self._connections = connections
        self._call = call
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._faults.arranged:
            await self._disturbed(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _disturbed(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = self._clock.time()
        body = await whole(receive)
        requests.of(scope).take(body)
        asked = _asked(self._call, scope, body)
        until = arrived + self._faults.delay(asked)
        hold = _Hold(self._clock, until, self._faults.forgotten, receive)
        receive, send = again(body, receive), hold.before(send)
        taken = self._faults.take(asked)
        if taken is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._meet(taken, hold, scope, receive, send)
        finally:
            taken.settle()

    async def _meet(self, taken: Taken, hold: "_Hold", scope: Scope, receive: Receive, send: Send) -> None:
        match taken.effect:
            case Refusal() as refusal:
                taken.happens()
                await hold.over()
                raise _answer(refusal, self._call)
            case Reset(done):
                taken.happens()
                if done:
                    with suppress(SandboxError, HTTPException):  # a refusal is an answer too
                        await self._app(scope, receive, _to_nobody)
                await hold.over()
                requests.of(scope).end()
                self._connections.reset(scope)
                await _gone(receive)
            case Cut(after, ends):

                async def cut() -> None:
                    taken.happens()
                    if ends:
                        await send({"type": "http.response.body", "body": b"", "more_body": False})
                    else:
                        requests.of(scope).end()
                        self._connections.close(scope)
                    await _gone(receive)

                await self._app(scope, receive, _Shortened(send, after, cut))
            case Death(after):
                scope[_LAST_WORDS] = LastWords(after, taken.happens)
                await self._app(scope, receive, send)


class _Hold:
    """Holds an answer back until its time, or until the faults are cleared or the client is gone."""

    def __init__(self, clock: Clock, until: float, forgotten: asyncio.Event, receive: Receive) -> None:
        self._clock = clock
        self._until = until
        self._forgotten = forgotten
        self._receive = receive

    async def over(self) -> None:
        if self._until <= self._clock.time():
            return
        ends = [asyncio.ensure_future(_gone(self._receive)), asyncio.ensure_future(self._forgotten.wait())]
        try:
            await self._clock.wait(ends, self._until)
        finally:
            for end in ends:
                end.cancel()

    def before(self, send: Send) -> Send:
        async def held(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self.over()
            await send(message)

        return held


class _Shortened:
    """Sends the first lines of a stream, then calls `cut` if there are more. A refusal is sent unchanged."""

    def __init__(self, send: Send, lines: int, cut: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._left = lines
        self._cut = cut
        self._streams = False

    async def __call__(self, message: Message) -> None:
        more = message.get("more_body", False)
        if message["type"] == "http.response.start":
            self._streams = more = message["status"] == 200
        elif self._streams:
            lines = message["body"].splitlines(keepends=True)
            if len(lines) > self._left:
                more = True
                message = {**message, "body": b"".join(lines[: self._left]), "more_body": True}
            self._left -= min(self._left, len(lines))
        await self._send(message)
        if self._streams and more and not self._left:
            self._streams = False
            await self._cut()


async def _to_nobody(message: Message) -> None:
    pass


async def _gone(receive: Receive) -> None:
    """Returns when the client has gone away; call it only once the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _answer(refusal: Refusal, call: str) -> ArrangedRefusal:
    said = _SAID | _SAID_BY_CREATE if call == "create" else _SAID
    error = refusal.error
    if error is None:
        error = said.get(refusal.status) or _phrase(refusal.status)
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
    return ArrangedRefusal(refusal.status, error, {**headers, **refusal.headers})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return f"status {status}"


class _Fields(msgspec.Struct):
    """The fields that faults look at, of all calls' bodies. The call itself checks them."""

    code: Any = ""
    language: Any = "python"
    n: Any = 1
    ram_mib: Any = None
    rootfs_gb: Any = None


_fields = msgspec.json.Decoder(_Fields)


def _asked(call: str, scope: Scope, body: bytes) -> Asked:
    try:
        fields = _fields.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = _Fields()
    sandbox = scope["path_params"].get("sandbox_id")
    if call == "exec":
        code = fields.code if isinstance(fields.code, str) else ""
        return Asked(call, sandbox, code, str(fields.language))
    custom = fields.ram_mib is not None or fields.rootfs_gb is not None
    return Asked(call, sandbox, n=fields.n if isinstance(fields.n, int) else 1, custom=custom)
