"""Keeps the code under test away from the control API."""

import asyncio
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from podflare_emulator.domain.registry import SandboxRegistry


class NotFromInside:
    """Raises HTTPException, 403, for a call of the control API by a process of a sandbox.

    A sandbox with the machine's network reaches the port. It knows no sandbox's id, but a reset needs none.
    """

    def __init__(self, app: ASGIApp, registry: "SandboxRegistry") -> None:
        self._app = app
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["path"].startswith("/_emulator/")
            and scope["client"]
            and await asyncio.to_thread(self._registry.is_at, tuple(scope["client"]), tuple(scope["server"]))
        ):
            raise HTTPException(
                403, "the control API is for the author of a test; this call comes from inside a sandbox"
            )
        await self._app(scope, receive, send)
