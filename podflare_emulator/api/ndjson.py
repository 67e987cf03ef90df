"""Events on the wire: NDJSON, one line for each event, sent as they happen while a client listens."""

import asyncio
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Literal

from starlette.types import Receive, Scope, Send

from podflare_emulator.api.gone import cancelling_when_gone
from podflare_emulator.vocabulary.logs import logger

if TYPE_CHECKING:
    from podflare_emulator.domain.events import Event
    from podflare_emulator.domain.execution import Execution
    from podflare_emulator.domain.sandbox import Sandbox
    from podflare_emulator.domain.testing.death import LastWords

MEDIA_TYPE = "application/x-ndjson"


def encode(events: Sequence["Event"]) -> bytes:
    """One line each, in ASCII: some clients also split lines at U+2028 and the like, so these are escaped."""
    lines: list[str] = []
    for event in events:
        data = encode_basestring_ascii(event.data) if isinstance(event.data, str) else event.data
        lines.append(f'{{"type":"{event.type}","data":{data},"seq":{event.seq},"ts":{event.ts}}}\n')
    return "".join(lines).encode("ascii")


class ExecStream:
    """Answers an exec: waits for the sandbox's turn, runs the code and sends its events as they happen.

    Errors before the code has started are raised, so that they still get their own status. If the client goes away
    while it waits for its turn, its code never runs; if it goes away later, the code is abandoned.
    """

    def __init__(
        self,
        sandbox: "Sandbox",
        code: str,
        language: Literal["python", "bash"],
        last_words: "LastWords | None" = None,
    ) -> None:
        self._sandbox = sandbox
        self._code = code
        self._language = language
        self._last_words = last_words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = cancelling_when_gone(receive)
        try:
            execution = await self._sandbox.exec(self._code, self._language, self._last_words)
            await _send_events(execution, send)
        except asyncio.CancelledError:
            if not gone.done():  # the server is shutting down; the client is still there
                raise
        finally:
            gone.cancel()


async def _send_events(execution: "Execution", send: Send) -> None:
    ended = False
    try:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")],
            }
        )
        while not ended:
            events = await execution.next_events()
            ended = events[-1].type == "exit"
            await send({"type": "http.response.body", "body": encode(events), "more_body": not ended})
    except Exception:
        # The status has been sent: only a body that breaks off can still tell the client that this is not all.
        logger.exception("sending an exec's events failed")
    finally:
        if not ended:
            await execution.abandon()
