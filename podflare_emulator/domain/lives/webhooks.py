"""Webhooks: report the events of sandboxes to the user's server, and keep them for the test."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from podflare_emulator.domain.ids import Ids
from podflare_emulator.vocabulary.clock import Clock

RETRIES = (1, 10, 60, 600)
"""Seconds to wait after an attempt before each retry, by the emulator's clock."""
_PATIENCE = 10  # seconds for one attempt, by the machine's clock
_KEPT = 2_000


class Webhook(Struct):
    """One event. Each of `attempts` has `at` in ms since the epoch, and the `status` or the `error`."""

    body: dict[str, Any]
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def delivered(self) -> bool:
        return bool(self.attempts) and 200 <= (self.attempts[-1]["status"] or 0) < 300


class Webhooks:
    """Sends events to `url`, one after the other, and retries after a while.

    They are kept even without a URL.
    """

    def __init__(self, clock: Clock, ids: Ids, url: str | None) -> None:
        self._clock = clock
        self._ids = ids
        self._url_at_start = self.url = url
        self._told: deque[Webhook] = deque(maxlen=_KEPT)
        self._sending = asyncio.Lock()
        self._era = 0  # `clear` begins a new one: events of earlier ones are no longer sent

    def tell(self, kind: str, **about: Any) -> None:
        webhook = Webhook({"id": self._ids.event(), "type": kind, "ts": self._clock.now(), **about})
        self._told.append(webhook)
        if self.url:
            self._clock.attend(self._send(webhook, self.url, self._era))

    def described(self) -> list[dict[str, Any]]:
        """The most recent events, oldest first."""
        return [
            {"body": one.body, "attempts": [*one.attempts], "delivered": one.delivered} for one in self._told
        ]

    def hush(self) -> None:
        """Stops sending and retrying: what happens from now on is no event of the service."""
        self._era += 1
        self.url = None

    def clear(self) -> None:
        """Forgets all events, and restores the URL of the start."""
        self.hush()
        self._told.clear()
        self.url = self._url_at_start

    async def _send(self, webhook: Webhook, url: str, era: int) -> None:
        async with self._sending:
            if era != self._era:
                return
            attempt: dict[str, Any] = {"at": self._clock.now(), "status": None, "error": None}
            try:
                attempt["status"] = await asyncio.wait_for(_post(url, webhook.body), _PATIENCE)
            except asyncio.TimeoutError:
                attempt["error"] = f"no answer within {_PATIENCE} s"
            except OSError as error:
                attempt["error"] = str(error) or type(error).__name__
            webhook.attempts.append(attempt)
        failures = len(webhook.attempts)
        if not webhook.delivered and failures <= len(RETRIES) and era == self._era:
            again = partial(self._send_again, webhook, url, era)
            self._clock.call_at(self._clock.time() + RETRIES[failures - 1], again)

    def _send_again(self, webhook: Webhook, url: str, era: int) -> Awaitable[None] | None:
        return self._send(webhook, url, era) if era == self._era else None


async def _post(url: str, body: dict[str, Any]) -> int:
    """Posts `body` and returns the status of the answer; raises OSError if there is none."""
    import ssl  # imported here, with h11, as few use webhooks

    import h11

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    assert parts.hostname
    sent = json.dumps(body).encode("ascii")
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method="POST",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=[
            ("Host", parts.netloc.rpartition("@")[2]),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(sent))),
            ("User-Agent", "podflare-emulator"),
            ("Connection", "close"),
        ],
    )
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=ssl.create_default_context() if secure else None,
    )
    try:
        for event in (request, h11.Data(data=sent), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        while not isinstance(answer := connection.next_event(), h11.Response):
            if answer is h11.NEED_DATA:
                connection.receive_data(await reader.read(1 << 16))
        return answer.status_code
    except h11.RemoteProtocolError as error:
        raise OSError(f"the answer is not HTTP: {error}") from None
    finally:
        writer.close()
