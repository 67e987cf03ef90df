"""The calls on sandboxes: each turns a request into one call of `domain`, and the result into an answer."""

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from podflare_emulator.api import ndjson
from podflare_emulator.api.bodies import CreateBody, ExecBody, ForkBody, given, read
from podflare_emulator.api.entrance.regions import asked_for
from podflare_emulator.api.faults import Disturb, last_words
from podflare_emulator.api.routes.endpoint import Calls
from podflare_emulator.api.routes.made import Made
from podflare_emulator.domain.registry import SandboxOrder
from podflare_emulator.vocabulary.settings import Settings

if TYPE_CHECKING:
    from podflare_emulator.domain.registry import SandboxRegistry

THREADS_LEFT_BEHIND = "Podflare-Threads-Left-Behind"
PROCESSES_LEFT_BEHIND = "Podflare-Processes-Left-Behind"
"""Headers of a fork's answer: how many of the parent's threads and processes the children lack; absent if none."""
REPLAY_DIFFERENCES = "Podflare-Replay-Differences"
"""Header of a fork's answer: which Python execs, from 1, ended differently when replayed, such as "2, 5"."""

_create_body = msgspec.json.Decoder(CreateBody)
_exec_body = msgspec.json.Decoder(ExecBody)
_fork_body = msgspec.json.Decoder(ForkBody)


class SandboxRoutes:
    """`disturb` wraps each call, under its name, so that a test's faults apply."""

    def __init__(
        self, registry: "SandboxRegistry", settings: Settings, disturb: "Disturb | None" = None
    ) -> None:
        self._registry = registry
        self._made = Made(settings)
        self._call = Calls(disturb)

    def routes(self) -> list[Route]:
        one = "/v1/sandboxes/{sandbox_id}"
        return [
            Route(f"{one}/exec", self._call(self.exec), methods=["POST"]),
            Route("/v1/sandboxes", self._call(self.create), methods=["POST"]),
            Route(f"{one}/fork", self._call(self.fork), methods=["POST"]),
            Route(one, self._call(self.destroy), methods=["DELETE"]),
            Route(f"{one}/merge_into/{{winner_id}}", self._call(self.merge_into), methods=["POST"]),
            Route(f"{one}/replay", self._call(self.replay), methods=["GET"]),
            Route("/v1/healthz", self._call(self.healthz), methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        body = await read(request, _create_body)
        body.region = asked_for(request.scope, body.region)
        sandbox = await self._registry.create(SandboxOrder(**given(body)))
        return self._made.answer(request, sandbox.id, body.region)

    async def exec(self, request: Request) -> ASGIApp:
        body = await read(request, _exec_body)
        sandbox = self._registry.get(request.path_params["sandbox_id"])
        return ndjson.ExecStream(sandbox, body.code, body.language, last_words(request.scope))

    async def fork(self, request: Request) -> Response:
        body = await read(request, _fork_body)
        forked = await self._registry.get(request.path_params["sandbox_id"]).fork(body.n)
        remarks = {
            THREADS_LEFT_BEHIND: forked.threads_left_behind,
            PROCESSES_LEFT_BEHIND: forked.processes_left_behind,
            REPLAY_DIFFERENCES: ", ".join(map(str, forked.replay_differences)),
        }
        return JSONResponse(
            {"children": [child.id for child in forked.children]},
            headers={name: str(value) for name, value in remarks.items() if value},
        )

    async def merge_into(self, request: Request) -> Response:
        await self._registry.merge(request.path_params["sandbox_id"], request.path_params["winner_id"])
        return Response(status_code=204)

    async def destroy(self, request: Request) -> Response:
        await self._registry.destroy(request.path_params["sandbox_id"])
        return Response(status_code=204)

    async def replay(self, request: Request) -> Response:
        events = self._registry.get(request.path_params["sandbox_id"]).replay()
        return Response(ndjson.encode(events), media_type=ndjson.MEDIA_TYPE)

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok")
