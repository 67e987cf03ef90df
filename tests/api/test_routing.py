"""From path and method to an application."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from podflare_emulator.api.routing import Route, Router


class Served(Exception):
    """By which route, with which parameters."""


def route(path: str, *methods: str) -> Route:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise Served(path, scope["path_params"])

    return Route(path, app, methods or None)


ROUTER = Router(
    [
        route("/v1/boxes", "POST"),
        route("/v1/boxes/{box}", "DELETE"),
        route("/v1/boxes/{box}/pty", "POST"),
        route("/v1/boxes/{box}/pty/{one}/read", "GET"),
        route("/mcp"),
    ]
)


def asked(method: str, path: str) -> Any:
    scope: Any = {"type": "http", "method": method, "path": path}
    asyncio.run(ROUTER(scope, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "served"),
    [
        ("POST", "/v1/boxes", ("/v1/boxes", {})),
        ("DELETE", "/v1/boxes/a b", ("/v1/boxes/{box}", {"box": "a b"})),
        ("GET", "/v1/boxes/a/pty/b/read", ("/v1/boxes/{box}/pty/{one}/read", {"box": "a", "one": "b"})),
        ("HEAD", "/v1/boxes/a/pty/b/read", ("/v1/boxes/{box}/pty/{one}/read", {"box": "a", "one": "b"})),
        ("PATCH", "/mcp", ("/mcp", {})),
    ],
)
def test_a_path_and_its_names(method: str, path: str, served: tuple[str, dict[str, str]]) -> None:
    with pytest.raises(Served) as arrived:
        asked(method, path)
    assert arrived.value.args == served


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/boxes", "/v1/boxes//pty", "/v1/boxes/a/pty/b", "/v1/boxes/a/pty/b/read/c"]
)
def test_an_unknown_path_is_404(path: str) -> None:
    with pytest.raises(HTTPException) as refused:
        asked("GET", path)
    assert refused.value.status_code == 404


def test_a_wrong_method_is_405_and_names_the_right_ones() -> None:
    with pytest.raises(HTTPException) as refused:
        asked("GET", "/v1/boxes")
    assert refused.value.status_code == 405
    assert refused.value.headers == {"Allow": "POST"}
