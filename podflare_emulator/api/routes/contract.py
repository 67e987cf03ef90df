"""`GET /openapi.json`: the OpenAPI document."""

from collections.abc import Iterable
from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from podflare_emulator.api.contract.control import ControlCall


class ContractRoutes:
    """Documents these routes, and these calls of the control API. Builds the document on the first request."""

    def __init__(self, routes: Iterable[Route], control: dict[str, ControlCall]) -> None:
        self._routes = tuple(routes)
        self._control = control

    def routes(self) -> list[Route]:
        return [Route("/openapi.json", self.document, methods=["GET"])]

    async def document(self, request: Request) -> Response:
        return Response(self._encoded, media_type="application/json")

    @cached_property
    def _encoded(self) -> bytes:
        from podflare_emulator.api.contract.document import build  # late, as few ask for it

        return msgspec.json.encode(build(self._routes, self._control))
