"""Records each request, logs one line for it, and puts its trace on every line logged while it is served."""

import logging
import re
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podflare_emulator.api import requests
from podflare_emulator.api.requests import Request, Requests
from podflare_emulator.vocabulary.logs import logger, served

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class AccessLog:
    """Outermost, so that it sees and times everything. Records every request, and logs it at INFO."""

    def __init__(self, app: ASGIApp, record: Requests) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope["method"], scope["path"], _trace_of(scope), self._record.now)
        requests.put(scope, request)
        self._record.add(request)

        async def noting_answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            elif not message.get("more_body", False):
                request.whole = True
            await send(message)

        serving = served.set(request)
        started = time.perf_counter_ns()
        try:
            await self._app(scope, receive, noting_answer)
        finally:
            request.end()
            if logger.isEnabledFor(logging.INFO):
                _log(request, round((time.perf_counter_ns() - started) / 1e6, 2))
            served.reset(serving)


def _log(request: Request, duration_ms: float) -> None:
    # Quoted again, as a decoded path may hold newlines, which would forge log lines.
    method, path, status = request.method, quote(request.path), request.status
    logger.info(
        "%s %s %s %.2f ms",
        method,
        path,
        status or "-",  # the client went away before there was an answer
        duration_ms,
        extra={"fields": {"method": method, "path": path, "status": status, "duration_ms": duration_ms}},
    )


def _trace_of(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            return str(value, "ascii")
    return None
