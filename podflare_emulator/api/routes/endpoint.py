"""A call of the service as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from podflare_emulator.api.faults import Disturb

Answer = Callable[[Request], Coroutine[Any, Any, ASGIApp]]


class Endpoint:
    """An async function from request to answer, as an ASGI application.

    Starlette's own wrapper looks for exception handlers, and watches each message for them. There are none here
    (`ErrorAnswers` serves all routes), and execs are short enough for the cost to show.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(Request(scope, receive, send))
        await answer(scope, receive, send)


class Calls:
    """Makes an endpoint of an async method; `disturb` wraps it, under the method's name."""

    def __init__(self, disturb: Disturb | None) -> None:
        self._disturb = disturb

    def __call__(self, answer: Answer) -> ASGIApp:
        endpoint = Endpoint(answer)
        return self._disturb(answer.__name__, endpoint) if self._disturb else endpoint
