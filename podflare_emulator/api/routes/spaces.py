"""The calls on Spaces: resume or delete a frozen sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from podflare_emulator.api.bodies import ResumeBody, given, read
from podflare_emulator.api.entrance.regions import asked_for
from podflare_emulator.api.routes.endpoint import Calls
from podflare_emulator.api.routes.made import Made
from podflare_emulator.domain.registry import ResumeOrder
from podflare_emulator.vocabulary.settings import Settings

if TYPE_CHECKING:
    from podflare_emulator.api.faults import Disturb
    from podflare_emulator.domain.registry import SandboxRegistry

_resume_body = msgspec.json.Decoder(ResumeBody)


class SpaceRoutes:
    """`disturb`: as in SandboxRoutes."""

    def __init__(self, registry: SandboxRegistry, settings: Settings, disturb: Disturb | None = None) -> None:
        self._registry = registry
        self._made = Made(settings)
        self._call = Calls(disturb)

    def routes(self) -> list[Route]:
        one = "/v1/spaces/{space_id}"
        return [
            Route(f"{one}/resume", self._call(self.resume), methods=["POST"]),
            Route(one, self._call(self.destroy_space), methods=["DELETE"]),
        ]

    async def resume(self, request: Request) -> Response:
        body = await read(request, _resume_body)
        body.region = asked_for(request.scope, body.region)
        sandbox = await self._registry.resume(request.path_params["space_id"], ResumeOrder(**given(body)))
        return self._made.answer(request, sandbox.id, body.region)

    async def destroy_space(self, request: Request) -> Response:
        await self._registry.delete_space(request.path_params["space_id"])
        return Response(status_code=204)
