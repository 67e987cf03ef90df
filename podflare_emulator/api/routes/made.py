"""The answer of a create and of a resume."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from podflare_emulator.api import requests
from podflare_emulator.vocabulary.settings import Settings


class Made:
    """Names region and endpoint if the settings do: published clients move to an endpoint, and remember it."""

    def __init__(self, settings: Settings) -> None:
        self._region = settings.region
        self._endpoint = settings.endpoint

    def answer(self, request: Request, sandbox_id: str, region: str | None) -> Response:
        """`region`: the requested one; this machine serves all of them."""
        requests.of(request.scope).made = sandbox_id
        body = {"id": sandbox_id, "state": "ready"}
        if self._region:
            body["region"] = region or self._region
        if self._endpoint:
            body["endpoint"] = self._endpoint
        return JSONResponse(body)
