"""From a request's path and method to the application that serves it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send


class Route(NamedTuple):
    """`path`: with names in braces for what one segment may be. `methods`: None for all."""

    path: str
    app: ASGIApp
    methods: Sequence[str] | None = None


class _Place:
    """The routes of one path."""

    def __init__(self) -> None:
        self.below: dict[str, _Place] = {}
        self.any_below: _Place | None = None
        self.names: list[str] = []  # of what the path leaves open
        self.apps: dict[str | None, ASGIApp] = {}  # by method; None: of all methods

    def made(self, segment: str) -> _Place:
        if segment.startswith("{"):
            self.any_below = self.any_below or _Place()
            return self.any_below
        return self.below.setdefault(segment, _Place())


class Router:
    """Raises HTTPException for what it has no route to: 404, or 405 with the methods that there are.

    Starlette's takes 4 ms of a server's start to compile its patterns, and tries them one by one.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Place()
        for route in routes:
            place = self._root
            segments = route.path.split("/")
            for segment in segments:
                place = place.made(segment)
            place.names = [segment[1:-1] for segment in segments if segment.startswith("{")]
            for method in route.methods or (None,):
                place.apps[method] = route.app
                if method == "GET":
                    place.apps["HEAD"] = route.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._root
        found: list[str] = []
        for segment in scope["path"].split("/"):
            below: Any = place.below.get(segment)
            if below is None:
                below = place.any_below
                if below is None or not segment:
                    raise HTTPException(404)
                found.append(segment)
            place = below
        if not place.apps:
            raise HTTPException(404)
        app = place.apps.get(scope["method"]) or place.apps.get(None)
        if app is None:
            raise HTTPException(405, headers={"Allow": ", ".join(filter(None, place.apps))})
        scope["path_params"] = dict(zip(place.names, found, strict=True))
        await app(scope, receive, send)
