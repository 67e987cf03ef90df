"""The floor under every call: an empty NDJSON POST on the emulator's own server, with the SDK's own client.

The route is mounted here, in front of the emulator's application: nothing of it is in the product.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from podflare import Client
from podflare_emulator.api import app
from podflare_emulator.vocabulary.settings import Settings

_NAME = "floor"
_PATH = f"/v1/sandboxes/{_NAME}/exec"
_ANSWER = b'{"type":"exit","data":0,"seq":0,"ts":0}\n'
_build_app = app.build_app


class Floor:
    """Answers one path with the shortest stream that the client takes for an exec; passes on the rest."""

    def __init__(self, emulator: ASGIApp) -> None:
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != _PATH:
            await self._emulator(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _ANSWER})


def call(client: Client) -> None:
    for _ in client.exec_stream(_NAME, ""):
        pass


class SettingsWithFloor(Settings):
    """An emulator with these settings has the floor, in whichever process its server runs."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling them is the first that a server's process does: it imports this file, and mounts the floor.
        return _settings, ({name: getattr(self, name) for name in Settings.__dataclass_fields__},)


def _settings(fields: dict[str, Any]) -> Settings:
    return SettingsWithFloor(**fields)


def _build_app_with_floor(*arguments: Any, **keywords: Any) -> ASGIApp:
    return Floor(_build_app(*arguments, **keywords))


app.build_app = _build_app_with_floor
