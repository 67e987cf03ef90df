"""What a test does to the emulator's time: the part of `Control` about the clock and lifetimes."""

from __future__ import annotations

from typing import Any, get_args

from podflare_emulator.domain.registry import SandboxRegistry
from podflare_emulator.vocabulary.arguments import MOST_SECONDS, is_seconds
from podflare_emulator.vocabulary.errors import SettingsError
from podflare_emulator.vocabulary.kinds import http_url
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest
from podflare_emulator.vocabulary.settings import ClockKind

_KINDS: tuple[ClockKind, ...] = get_args(ClockKind)


class TimeControl:
    def __init__(self, registry: SandboxRegistry) -> None:
        self._clock = registry.clock
        self._lives = registry

    async def clock(self) -> dict[str, Any]:
        """`kind`: real, manual or skipping; `now`: ms since the epoch."""
        return {"kind": self._clock.kind, "now": self._clock.now()}

    async def use_clock(self, kind: str) -> None:
        """Sets the clock until the next reset: `real`, `manual` or `skipping`. It starts at the machine's time."""
        for known in _KINDS:
            if kind == known:
                await self._clock.restart(known)
                return
        raise InvalidRequest(f"clock: expected {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, got {kind!r}")

    async def advance_clock(self, seconds: float) -> None:
        """Moves the clock on; whatever falls due has happened, in order, when this returns."""
        if not is_seconds(seconds):
            raise InvalidRequest(f"seconds: expected 0 to {MOST_SECONDS} (a hundred years), got {seconds!r}")
        await self._clock.advance(seconds)

    async def exempt_from_lifetimes(self, sandboxes: list[str]) -> None:
        """Exempts these sandboxes from lifetimes: they live until they are destroyed."""
        if not isinstance(sandboxes, list) or not all(isinstance(one, str) for one in sandboxes):
            raise InvalidRequest(f"sandboxes: expected a list of ids, got {sandboxes!r}")
        self._lives.exempt(sandboxes)

    async def webhooks(self) -> list[dict[str, Any]]:
        """Every event since the last reset: its `body`, the `attempts` to send it, and whether it was `delivered`."""
        return self._lives.webhooks.described()

    async def set_webhook_url(self, url: str | None) -> None:
        """Sends events to this URL until the next reset; null: nowhere."""
        if url is not None:
            try:
                http_url("url", url)
            except SettingsError as error:
                raise InvalidRequest(str(error)) from None
        self._lives.webhooks.url = url
