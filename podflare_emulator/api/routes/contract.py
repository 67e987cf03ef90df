"""`GET /openapi.json`: what is served here, for machines to read."""

from collections.abc import Iterable
from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from podflare_emulator.api.contract.control import ControlCall


class ContractRoutes:
    """Of these routes, and these calls of the control API. The document is made when it is first asked for."""

    def __init__(self, routes: Iterable[Route], control: dict[str, ControlCall]) -> None:
        self._routes = tuple(routes)
        self._control = control

    def routes(self) -> list[Route]:
        return [Route("/openapi.json", self.document, methods=["GET"])]

    async def document(self, request: Request) -> Response:
        return Response(self._encoded, media_type="application/json")

    @cached_property
    def _encoded(self) -> bytes:
        from podflare_emulator.api.contract.document import build  # late: few ask

        return msgspec.json.encode(build(self._routes, self._control))
