"""Paths that name a region: clients 0.0.6 to 0.0.15 use `/r/<region>/v1/...` (contract: wire)."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from podflare_emulator.vocabulary.regions import ALIASES, REGIONS

_PATH = re.compile(f"/r/({'|'.join((*REGIONS, *ALIASES))})(?=/v1/)")
_KEY = "podflare.region"


class Regions:
    """Outermost middleware: this one machine serves every region of the service.

    The application behind it sees the path without the region. An unknown region is left in the path, which gives 404.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (named := _PATH.match(scope["path"])):
            scope[_KEY] = named[1]
            scope["path"] = scope["path"][named.end() :]
        await self._app(scope, receive, send)


def asked_for(scope: Scope, in_body: str | None) -> str | None:
    """The region that a request names in its body or its path, with aliases resolved."""
    name: str | None = in_body or scope.get(_KEY)
    return ALIASES.get(name, name) if name else None
