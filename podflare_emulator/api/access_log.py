"""One log line a request, and the request's trace on every line that is logged while it is served."""

import logging
import re
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podflare_emulator.logs import logger, traceparent

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class AccessLog:
    """Outermost, so that it times everything. Costs a look through the headers when nobody logs at INFO."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = traceparent.set(_trace_of(scope))
        try:
            if logger.isEnabledFor(logging.INFO):
                await self._logged(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            traceparent.reset(trace)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        status: int | None = None

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter_ns()
        try:
            await self._app(scope, receive, noting_status)
        finally:
            duration_ms = round((time.perf_counter_ns() - started) / 1e6, 2)
            # Quoted again: a decoded path may hold newlines, and would forge lines.
            method, path = scope["method"], quote(scope["path"])
            logger.info(
                "%s %s %s %.2f ms",
                method,
                path,
                status or "-",  # the client went away before there was an answer
                duration_ms,
                extra={
                    "fields": {"method": method, "path": path, "status": status, "duration_ms": duration_ms}
                },
            )


def _trace_of(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            return str(value, "ascii")
    return None
