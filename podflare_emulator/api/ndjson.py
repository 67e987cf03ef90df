"""Events on the wire: NDJSON, one line an event, sent as produced, for as long as somebody listens."""

import asyncio
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Literal

from starlette.types import Receive, Scope, Send

from podflare_emulator.api.gone import cancelling_when_gone
from podflare_emulator.vocabulary.logs import logger

if TYPE_CHECKING:
    from podflare_emulator.domain.events import Event
    from podflare_emulator.domain.sandbox import Execution, Sandbox
    from podflare_emulator.domain.testing.death import LastWords

MEDIA_TYPE = "application/x-ndjson"


def encode(events: Sequence["Event"]) -> bytes:
    """One line each, in ASCII: clients split the stream on U+2028 and its like too, so they leave escaped."""
    lines: list[str] = []
    for event in events:
        data = encode_basestring_ascii(event.data) if isinstance(event.data, str) else event.data
        lines.append(f'{{"type":"{event.type}","data":{data},"seq":{event.seq},"ts":{event.ts}}}\n')
    return "".join(lines).encode("ascii")


class ExecStream:
    """Answers an exec: waits for the sandbox's turn, runs the code and sends its events as they come.

    What goes wrong before the code has started is raised, so that it can still have its own status. A client
    that goes away while it waits never gets its code run; one that goes away later has it abandoned.
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
            if not gone.done():  # not the client: the server ends
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
        # The status is out: a body that breaks off is the only way left to say that this is not all of it.
        logger.exception("an exec's stream of events broke off")
    finally:
        if not ended:
            await execution.abandon()
