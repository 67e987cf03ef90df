"""Paths that name a region: clients 0.0.6 to 0.0.15 ask for `/r/<region>/v1/...` (contract: wire)."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from podflare_emulator.vocabulary.regions import ALIASES, REGIONS

_PATH = re.compile(f"/r/(?:{'|'.join((*REGIONS, *ALIASES))})(?=/v1/)")


class Regions:
    """Outermost: there is one machine here, and every region of the service's is on it.

    What is behind it sees the path without the region; a region that the service does not have is left in, and so 404.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/r/"):
            scope["path"] = _PATH.sub("", scope["path"], count=1)
        await self._app(scope, receive, send)
