"""The calls on terminals (contract: pty): each streams NDJSON, or acts on a running program."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from podflare_emulator.api import ndjson
from podflare_emulator.api.bodies import InputBody, ReadBody, SizeBody, TerminalBody, read
from podflare_emulator.api.routes.endpoint import Calls
from podflare_emulator.domain.execution import SEVERED
from podflare_emulator.domain.terminals import Session, TerminalOrder
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

if TYPE_CHECKING:
    from podflare_emulator.api.faults import Disturb
    from podflare_emulator.domain.registry import SandboxRegistry

LONGEST_POLL = 30.0  # seconds; contract: the server caps read

_terminal_body = msgspec.json.Decoder(TerminalBody)
_input_body = msgspec.json.Decoder(InputBody)
_size_body = msgspec.json.Decoder(SizeBody)
_read_body = msgspec.json.Decoder(ReadBody)


class TerminalRoutes:
    """`disturb`: as in SandboxRoutes."""

    def __init__(self, registry: SandboxRegistry, disturb: Disturb | None = None) -> None:
        self._registry = registry
        self._call = Calls(disturb)

    def routes(self) -> list[Route]:
        terminals = "/v1/sandboxes/{sandbox_id}/pty"
        one = f"{terminals}/{{terminal_id}}"
        return [
            Route(terminals, self._call(self.pty), methods=["POST"]),
            Route(terminals, self._call(self.pty_list), methods=["GET"]),
            Route(f"{one}/input", self._call(self.pty_input), methods=["POST"]),
            Route(f"{one}/resize", self._call(self.pty_resize), methods=["POST"]),
            Route(f"{one}/kill", self._call(self.pty_kill), methods=["POST"]),
            Route(f"{one}/attach", self._call(self.pty_attach), methods=["GET"]),
            Route(f"{one}/read", self._call(self.pty_read), methods=["POST"]),
        ]

    async def pty(self, request: Request) -> Response:
        body = await read(request, _terminal_body)
        order = TerminalOrder(body.shellCmd, body.argv, body.cols, body.rows, body.env or [], body.cwd)
        sandbox = self._registry.get(request.path_params["sandbox_id"])
        session = await sandbox.start_terminal(order)
        return _stream(session, {"type": "pty_ready", "session_id": session.id})

    async def pty_list(self, request: Request) -> Response:
        return JSONResponse(self._registry.get(request.path_params["sandbox_id"]).terminals.active())

    async def pty_input(self, request: Request) -> Response:
        body = await read(request, _input_body)
        try:
            data = base64.b64decode(body.data_b64, validate=True)
        except ValueError as error:  # of binascii, or not ASCII
            raise InvalidRequest(f"data_b64: not base64: {error}") from None
        self._session(request).terminal.write(data)
        self._registry.get(request.path_params["sandbox_id"]).use()
        return Response(status_code=204)

    async def pty_resize(self, request: Request) -> Response:
        body = await read(request, _size_body)
        self._session(request).terminal.resize(body.cols, body.rows)
        return Response(status_code=204)

    async def pty_kill(self, request: Request) -> Response:
        await self._session(request).terminal.kill()
        return Response(status_code=204)

    async def pty_attach(self, request: Request) -> Response:
        return _stream(self._session(request))

    async def pty_read(self, request: Request) -> Response:
        """Answers `data_b64`, `next_seq` to read on from, and our extra `exit_code`, null while it runs."""
        body = await read(request, _read_body)
        session = self._session(request)
        waiting = asyncio.ensure_future(session.wait(body.since_seq))
        await asyncio.wait([waiting], timeout=min(body.timeout_ms, LONGEST_POLL * 1000) / 1000)
        waiting.cancel()
        data, position = session.read(body.since_seq, body.max_bytes)
        answer = {"data_b64": _encoded(data), "next_seq": position, "exit_code": session.exit_code}
        return JSONResponse(answer)

    def _session(self, request: Request) -> Session:
        sandbox = self._registry.get(request.path_params["sandbox_id"])
        return sandbox.terminals.get(request.path_params["terminal_id"])


def _stream(session: Session, *first: dict[str, Any]) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for message in first:
            yield _line(message)
        async for data in session.watch():
            yield _line({"type": "pty_data", "data_b64": _encoded(data)})
        code = SEVERED if session.exit_code is None else session.exit_code
        yield _line({"type": "pty_exit", "data": code})

    return StreamingResponse(lines(), media_type=ndjson.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
