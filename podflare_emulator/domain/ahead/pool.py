"""Guests made ahead of demand, so that a create need not wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.pause import Pause

_AFTER = 0.003  # seconds: lets a create be answered before the next guest is made


class Pool:
    """Ready guests of one template, refilled in the background."""

    def __init__(self, make: Callable[[], Awaitable[Guest]], size: int) -> None:
        self._make = make
        self._size = size
        self._ready: deque[Guest] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._pause = Pause()
        self._taken = 0

    def add(self, guest: Guest) -> None:
        self._ready.append(guest)

    async def take(self) -> Guest:
        """A ready guest, or a new one; raises HostingError if it cannot be made."""
        self._taken += 1
        guest = None
        while self._ready and guest is None:
            candidate = self._ready.popleft()
            if candidate.ended:
                await candidate.end()
            else:
                guest = candidate
        self.refill()
        return guest or await self._make()

    def refill(self) -> None:
        if len(self._ready) < self._taken:
            self._pause.end()
        if self._refill is None or self._refill.done():
            loop = asyncio.get_running_loop()  # the task belongs to no request: it must not carry one's trace
            self._refill = contextvars.Context().run(loop.create_task, self._fill())

    async def close(self) -> None:
        if self._refill:
            self._refill.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refill
        await asyncio.gather(*(guest.end() for guest in self._ready))
        self._ready.clear()

    async def _fill(self) -> None:
        await asyncio.sleep(_AFTER)
        # On failure, the next `take` tries again, and reports why.
        with contextlib.suppress(HostingError, OSError):
            while len(self._ready) < self._size:
                if len(self._ready) >= self._taken:
                    await self._pause.wait()
                self._ready.append(await self._make())
