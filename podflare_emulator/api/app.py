"""The application: the routes, the guard in front of them, and the answers to errors."""

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from podflare_emulator.api import requests
from podflare_emulator.api.access_log import AccessLog
from podflare_emulator.api.contract.control import calls
from podflare_emulator.api.entrance.guard import Guard
from podflare_emulator.api.entrance.inside import NotFromInside
from podflare_emulator.api.entrance.regions import Regions
from podflare_emulator.api.faults import ArrangedRefusal, Disturb
from podflare_emulator.api.requests import Requests
from podflare_emulator.api.routes.contract import ContractRoutes
from podflare_emulator.api.routes.control import ControlRoutes
from podflare_emulator.api.routes.mcp import McpRoutes
from podflare_emulator.api.routes.sandboxes import SandboxRoutes
from podflare_emulator.api.routes.spaces import SpaceRoutes
from podflare_emulator.api.routes.terminals import TerminalRoutes
from podflare_emulator.api.tracing import Traced, find_tracer
from podflare_emulator.vocabulary.logs import logger
from podflare_emulator.vocabulary.sandbox_errors import (
    GuestFailed,
    InvalidRequest,
    SandboxNotFound,
    SpaceNotFound,
    TerminalNotFound,
)
from podflare_emulator.vocabulary.settings import Settings

if TYPE_CHECKING:
    from podflare_emulator.control.control import Control
    from podflare_emulator.domain.registry import SandboxRegistry


def build_app(
    registry: "SandboxRegistry",
    settings: Settings,
    control: "Control | None" = None,
    record: Requests | None = None,
    disturb: Disturb | None = None,
) -> ASGIApp:
    """The HTTP API over `registry`, and the control API. From `settings` it takes the API keys, the allowed hosts,
    and the region and endpoint that a create answers.

    `record` gets every request; `disturb` wraps each call of the service.
    """
    routes = SandboxRoutes(registry, settings, disturb).routes() + TerminalRoutes(registry, disturb).routes()
    routes += SpaceRoutes(registry, settings, disturb).routes()
    served = [*routes]
    if control:
        routes += ControlRoutes(control).routes()
    routes += McpRoutes(registry).routes()
    routes += ContractRoutes(served, calls(control) if control else {}).routes()
    router = Router(routes, redirect_slashes=False)
    app: ASGIApp = ErrorAnswers(Guard(NotFromInside(router, registry), settings))
    tracer = find_tracer()
    return Regions(AccessLog(Traced(app, tracer) if tracer else app, record or Requests()))


class ErrorAnswers:
    """Turns every failure into its status and `{"error": "..."}`; also logs unexpected ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # With an "app" in the scope, Starlette's router raises its 404 and 405 instead of answering itself.
        scope["app"] = self
        # A trailing slash is ignored, not redirected: most clients follow no redirect of a POST.
        scope["path"] = scope["path"].rstrip("/") or "/"
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            await _answer(error, scope)(scope, receive, send)


def _answer(error: Exception, scope: Scope) -> Response:
    headers = None
    match error:
        case SandboxNotFound() | TerminalNotFound() | SpaceNotFound():
            status, message = 404, str(error)
        case InvalidRequest():
            status, message = 400, str(error)
        case GuestFailed():
            status, message = 500, str(error)
        case ArrangedRefusal():
            status, message, headers = error.status_code, error.detail, error.headers
        case HTTPException():
            status, message, headers = error.status_code, error.detail, error.headers
            if status in (404, 405):  # the router's, which only repeat the status
                message = f"{message.lower()}: {scope['method']} {scope['path']}"
        case _:
            status, message = 500, f"the emulator failed: {type(error).__name__}: {error}"
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    requests.of(scope).error = message
    return JSONResponse({"error": message}, status, headers)
