"""The control API: `POST /_emulator/<call>` with the call's arguments as a JSON object, for tests in any language."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from podflare_emulator.api.bodies import read
from podflare_emulator.api.contract.control import calls
from podflare_emulator.api.gone import cancelling_when_gone
from podflare_emulator.vocabulary.arguments import signature_mismatch
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

if TYPE_CHECKING:
    from podflare_emulator.control.control import Control

# A long poll: a call left waiting by a client that is gone would take the question from another caller.
_WAITING = "next_question"

_arguments = msgspec.json.Decoder(dict[str, Any])


class ControlRoutes:
    def __init__(self, control: "Control") -> None:
        self._calls = calls(control)

    def routes(self) -> list[Route]:
        return [Route("/_emulator/{name}", self.call, methods=["POST"])]

    async def call(self, request: Request) -> Response:
        """`{"result": ...}`; 404 for an unknown call, 400 for arguments that do not fit."""
        name = request.path_params["name"]
        if name not in self._calls:
            raise HTTPException(404, f"no call {name!r}; there are {', '.join(self._calls)}")
        call = self._calls[name]
        arguments = await read(request, _arguments)
        mistake = signature_mismatch(call, **arguments)
        if mistake:
            raise InvalidRequest(f"{name}: {mistake}")
        calling = call(**arguments)
        result = await (_while_there(request, calling) if name == _WAITING else calling)
        return JSONResponse({"result": result})


async def _while_there(request: Request, calling: Coroutine[Any, Any, Any]) -> Any:
    """Cancels the call and raises ClientDisconnect as soon as its client is gone."""
    gone = cancelling_when_gone(request.receive)
    try:
        return await calling
    except asyncio.CancelledError:
        if gone.done():
            raise ClientDisconnect from None
        raise  # the server is shutting down
    finally:
        gone.cancel()
