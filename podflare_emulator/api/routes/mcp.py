"""`/mcp`: the Model Context Protocol over streamable HTTP, and single calls of `tools/call` without a session."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from podflare_emulator.api.bodies import LIMIT, again, whole
from podflare_emulator.mcp.server import answered, build
from podflare_emulator.mcp.tools import Tools
from podflare_emulator.vocabulary.errors import EmulatorError

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from podflare_emulator.domain.registry import SandboxRegistry

# Headers of a client that speaks the whole protocol, and not only JSON-RPC.
_SESSION, _VERSION = b"mcp-session-id", b"mcp-protocol-version"


class McpRoutes:
    def __init__(self, registry: SandboxRegistry) -> None:
        self._endpoint = McpEndpoint(registry)

    def routes(self) -> list[Route]:
        return [Route("/mcp", self._endpoint)]


class McpEndpoint:
    """The SDK's session manager runs from the first request until the server ends."""

    def __init__(self, registry: SandboxRegistry) -> None:
        self._registry = registry
        self._tools: Tools | None = None
        self._starting: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._tools = self._tools or Tools(self._registry)
        headers = dict(scope["headers"])
        if scope["method"] == "POST":
            body = await whole(receive)
            outside = _SESSION not in headers and _VERSION not in headers
            answer = await _answer_outside(self._tools, body) if outside else _without_sessions(body)
            if answer is not None:
                await answer(scope, receive, send)
                return
            receive = again(body, receive)
        manager = await self._manager()
        await manager.handle_request(scope, receive, send)
        if scope["method"] == "DELETE" and _SESSION in headers:
            await self._tools.end(headers[_SESSION].decode("latin-1"))

    async def _manager(self) -> StreamableHTTPSessionManager:
        """Raises HTTPException, 501, if the SDK is missing."""
        if self._starting is None or (self._starting.done() and self._starting.exception()):
            self._starting = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._starting))
        try:
            return await asyncio.shield(self._starting)
        except EmulatorError as error:
            raise HTTPException(501, str(error)) from None

    async def _run(self, started: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        assert self._tools
        try:
            server = build(self._tools, _session_of)
            from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
            from mcp.server.transport_security import TransportSecuritySettings

            ours = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard does that
            manager = StreamableHTTPSessionManager(
                server,
                json_response=True,  # clients refuse events of more than 1 MiB
                security_settings=ours,
                max_request_body_size=LIMIT,
            )
        except Exception as error:
            started.set_exception(error)
            return
        async with manager.run():
            started.set_result(manager)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


def _without_sessions(body: bytes) -> ASGIApp | None:
    """Tells a client that asks to work without sessions to open one, since a session has a sandbox."""
    request = _request(body)
    if request.get("method") != "server/discover":
        return None
    error = {"code": -32601, "message": "Method not found: server/discover"}
    return JSONResponse({"jsonrpc": "2.0", "id": request.get("id"), "error": error}, 404)


async def _answer_outside(tools: Tools, body: bytes) -> ASGIApp | None:
    """Answers a call outside any session, as the hosted server does; None for any other request."""
    request = _request(body)
    if request.get("method") not in ("tools/call", "tools/list"):
        return None
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
    params = request.get("params") or {}
    if request["method"] == "tools/list":
        listed = [
            {"name": tool["name"], "description": tool["description"], "inputSchema": tool["schema"]}
            for tool in tools.described()
        ]
        return JSONResponse({**answer, "result": {"tools": listed}})
    name, arguments = (
        (params.get("name"), params.get("arguments") or {}) if isinstance(params, dict) else (None, {})
    )
    if not isinstance(name, str) or not isinstance(arguments, dict):
        message = "params: expected the name of a tool, and an object of arguments"
        return JSONResponse({**answer, "error": {"code": -32602, "message": message}}, 400)
    return JSONResponse({**answer, "result": await answered(tools, name, arguments, None)})


def _request(body: bytes) -> dict[str, Any]:
    """The JSON-RPC request; empty if the body is none, which the SDK reports to the client."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _session_of(context: Any) -> str | None:
    session: str | None = context.request.headers.get(_SESSION.decode())
    return session
